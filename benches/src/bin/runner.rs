//! The runner: see `benches/README.md`.

fn main() -> sockeye_benches::Result<()> {
    sockeye_benches::runner::main()
}
