use ktstr::prelude::*;

#[ktstr_test(llcs = 2, llc = 2)]
fn unknown(_: &Ctx) -> Result<AssertResult> {
    Ok(AssertResult::pass())
}

#[ktstr_test(llcs = 2, not_stuck, llcs = 4)]
fn repeated(_: &Ctx) -> Result<AssertResult> {
    Ok(AssertResult::pass())
}

fn main() {}
