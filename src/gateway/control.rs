//! The control plane's runtime: one background thread for what runs beside requests, as long as the gateway does. A request waits for it
//! only through a bounded queue with a deadline.

use std::io;

use tokio::runtime::{Builder, Runtime};

/// The runtime. What still runs ends with it.
#[derive(Debug)]
pub(crate) struct Control(Option<Runtime>);

impl Control {
    /// Starts the thread.
    pub(crate) fn start() -> io::Result<Self> {
        Builder::new_multi_thread().worker_threads(1).thread_name("control").enable_all().build().map(Some).map(Self)
    }

    /// Runs it there, and waits for what it comes to.
    pub(crate) async fn carry<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> io::Result<T> {
        let runtime = self.0.as_ref().ok_or(io::ErrorKind::BrokenPipe)?;
        runtime.spawn(work).await.map_err(io::Error::other)
    }

    /// Runs it until it ends, or the gateway does.
    pub(crate) fn run(&self, work: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = &self.0 {
            runtime.spawn(work);
        }
    }
}

impl Drop for Control {
    /// Also within another runtime, where waiting is not allowed.
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
