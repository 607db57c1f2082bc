use ktstr::prelude::*;

#[ktstr_test]
async fn asynchronous(_: &Ctx) -> Result<AssertResult> {
    Ok(AssertResult::pass())
}

#[ktstr_test]
fn generic<T>(_: &Ctx) -> Result<AssertResult> {
    Ok(AssertResult::pass())
}

#[ktstr_test]
fn without_context() -> Result<AssertResult> {
    Ok(AssertResult::pass())
}

#[ktstr_test]
fn mutable(_: &mut Ctx) -> Result<AssertResult> {
    Ok(AssertResult::pass())
}

#[ktstr_test]
fn silent(_: &Ctx) {}

#[ktstr_test]
fn wrong_result(_: &Ctx) -> Result<u32> {
    Ok(1)
}

#[ktstr_test(expect_err)]
#[should_panic]
fn panics(_: &Ctx) -> Result<AssertResult> {
    Ok(AssertResult::pass())
}

#[ktstr_test]
struct NotAFunction;

fn main() {}
