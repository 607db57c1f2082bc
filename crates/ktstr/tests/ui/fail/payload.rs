use ktstr::prelude::*;

#[derive(Payload)]
struct Nothing;

#[derive(Payload)]
#[payload(binary = "fio", colour = 1)]
struct Unknown {
    iops: f64,
}

#[derive(Payload)]
#[payload(binary = "fio", output = text)]
struct OtherPlace {
    #[metric(path = "/iops")]
    iops: f64,
}

#[derive(Payload)]
#[payload(binary = "fio")]
struct InvertedBounds {
    #[metric(at_least = 2, at_most = 1)]
    iops: f64,
}

const RELATIVE: Payload = Payload { name: "relative", binary: "bin/fio", ..Payload::DEFAULT };

#[ktstr_test(payload = RELATIVE)]
fn wrong_by_hand(_: &Ctx) -> Result<AssertResult> {
    Ok(AssertResult::pass())
}

const GOOD: Payload = Payload { name: "good", binary: "fio", ..Payload::DEFAULT };

#[ktstr_test(payload = GOOD, workloads = [GOOD])]
fn twice(_: &Ctx) -> Result<AssertResult> {
    Ok(AssertResult::pass())
}

fn main() {}
