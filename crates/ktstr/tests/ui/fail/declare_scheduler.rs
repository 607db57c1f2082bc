use ktstr::prelude::*;

declare_scheduler!(UNKNOWN, { name = "unknown", binary = "b", colour = "red" });
declare_scheduler!(REPEATED, { name = "repeated", name = "again", binary = "b" });
declare_scheduler!(NAMELESS, { binary = "b" });
declare_scheduler!(FROM_NOWHERE, { name = "from_nowhere" });
declare_scheduler!(FROM_TWO, { name = "from_two", binary = "b", binary_path = "/b" });
declare_scheduler!(NO_WAY_BACK, { name = "no_way_back", kernel_builtin_enable = ["echo 1 > /sys/x"] });
declare_scheduler!(EEVDF, { name = "eevdf", binary = "b" });
declare_scheduler!(KERNEL_DEFAULT, { name = "kernel_default", binary = "b" });
declare_scheduler!(SLASH, { name = "a/b", binary = "b" });
declare_scheduler!(COMPUTED, { name = concat!("a", "b"), binary = "b" });
declare_scheduler!(BACKWARDS, { name = "backwards", binary = "b", kernels = ["6.18", "7.3..6.18"] });
declare_scheduler!(HALF_OPEN, { name = "half_open", binary = "b", kernels = ["6.18.."] });
declare_scheduler!(SHELL, {
    name = "shell",
    kernel_builtin_enable = ["echo $ON > /sys/x", "echo 1 >> /sys/x", "cat /x"],
    kernel_builtin_disable = ["echo 0 > sys/x"],
});
declare_scheduler!(SHAPELESS, { name = "shapeless", binary = "b", topology = (1, 2), sysctls = ["a=b"] });
declare_scheduler!(UNEVEN, { name = "uneven", binary = "b", topology = (2, 3, 1, 1) });
declare_scheduler!("quoted", { name = "quoted", binary = "b" });
declare_scheduler!(UNBRACED, name = "unbraced");

// A broken declaration does not make its tests complain as well.
#[ktstr_test(scheduler = NAMELESS)]
fn uses_it(_: &Ctx) -> Result<AssertResult> {
    Ok(AssertResult::pass())
}

fn main() {}
