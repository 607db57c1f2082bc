use ktstr::prelude::*;

#[ktstr_test(scheduler = NO_SCHEDULER)]
fn scheduler(_: &Ctx) -> Result<AssertResult> {
    Ok(AssertResult::pass())
}

#[ktstr_test(payload = NO_PAYLOAD, workloads = [NO_WORKLOAD], post_vm = no_function, config = NO_CONFIG)]
fn machinery_to_come(_: &Ctx) -> Result<AssertResult> {
    Ok(AssertResult::pass())
}

const NUMBER: u32 = 1;

#[ktstr_test(scheduler = NUMBER)]
fn not_a_scheduler(_: &Ctx) -> Result<AssertResult> {
    Ok(AssertResult::pass())
}

fn main() {}
