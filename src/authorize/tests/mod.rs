//! The flow on a real vault, with monday.com and providers in the test, and browsers that keep cookies: visits go in as a worker would hand
//! them over, so that nothing of HTTP is in between.

mod attacks;
mod endings;
mod rules;
mod scene;
