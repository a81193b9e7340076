//! The runner: see `benches/README.md`.

fn main() -> sockeye_benches::Result<std::process::ExitCode> {
    sockeye_benches::runner::main()
}
