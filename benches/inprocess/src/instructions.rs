//! Echoes messages in the protocol core. Callgrind runs this program: `instructions binary|text SIZE COUNT`.

use sockeye_inprocess::{Echo, Kind, Result, frames};

/// The number of messages in one read.
const BATCH: usize = 16;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [content, size, count] = arguments.as_slice() else {
        return Err("usage: binary|text SIZE COUNT".into());
    };
    let kind = if content == "text" { Kind::Ascii } else { Kind::Binary };
    let (read, mut echo) = (frames(kind, size.parse()?, BATCH), Echo::open()?);
    let (mut echoed, count) = (0, count.parse()?);
    while echoed < count {
        echoed += echo.turn(&read)?;
    }
    Ok(())
}
