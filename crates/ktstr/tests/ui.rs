//! What the macros accept and refuse, seen from a user's crate.

#[test]
fn mistakes_are_explained_and_declarations_become_entries() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/ui/fail/*.rs");
    cases.pass("tests/ui/pass/*.rs");
}
