//! The load generator for plain TCP: `load SPECIFICATION`.

use sockeye_benches::load;

fn main() -> sockeye_benches::Result<()> {
    load::main::<load::Plain>()
}
