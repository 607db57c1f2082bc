//! The `cargo ktstr` command.
fn main() {}
