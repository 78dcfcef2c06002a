//! A value that is never printed: signing secrets, keys, tokens.
//! Its bytes leave only through `expose`, so that a search for that word finds every use. Wiped when dropped, and in no core file.

use std::fmt;

use rustix::process::{Resource, Rlimit, setrlimit};
use zeroize::Zeroizing;

/// Secret bytes. `Debug` shows their number at most; there is no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes over the bytes.
    pub(crate) fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Zeroizing::new(bytes.into()))
    }

    /// The bytes, for the code that signs, verifies or sends them.
    pub(crate) fn expose(&self) -> &[u8] {
        &self.0
    }

    /// How many bytes.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is nothing to keep.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} bytes)", self.0.len())
    }
}

/// From now on the process leaves no core file, however it ends and whatever limits it was given: keys and tokens would be in it. The limit
/// does not hold where cores are piped to a program; that the process is not dumpable does, and keeps other processes of its user from
/// reading its memory.
#[expect(clippy::print_stderr, reason = "before there is a log")]
pub(crate) fn stay_out_of_core_files() {
    let no_file = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    #[cfg(target_os = "linux")]
    let no_file =
        no_file.and_then(|()| rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable));
    if let Err(fault) = no_file {
        eprintln!("a crash might leave a core file: {fault}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_byte_of_the_value() {
        let shown = format!("{:?}", Secret::new("hunter2-hunter2"));
        assert_eq!(shown, "Secret(15 bytes)");
    }
}
