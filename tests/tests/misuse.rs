//! The documented misuses of the seeds do not compile, and the compiler says why in words a person understands.
//!
//! The expected messages are those of the toolchain pinned in `rust-toolchain.toml`.

#[test]
fn the_documented_misuses_do_not_compile() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("misuse/*.rs");
}
