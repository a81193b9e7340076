//! L5: a server with many connections is drained.

use std::time::Duration;

use sockeye::{CloseCode, Drain, Handler, Message, Result, Sender, Settings};

use super::{WAIT, holds_in_time};
use crate::crowd::Crowd;
use crate::handlers::AnyFactory;
use crate::options::Options;
use crate::report::Report;

/// The messages that each connection receives before the drain begins.
const MESSAGES: usize = 20;

/// The length of a message in bytes.
const LEN: usize = 1024;

/// Accepts connections.
struct Silent;

impl Handler for Silent {
    fn on_message(&mut self, _: Message) -> Result<()> {
        Ok(())
    }
}

/// Every connection receives what was queued for it before the drain, and a Close. The closes are spread over the whole time.
pub(crate) fn drain(options: &Options, report: &mut Report) {
    let count = options.pick(options.many().min(1000), options.many());
    let over = Duration::from_secs(options.pick(1, 5));
    let settings = Settings { max_connections: count, ..Settings::default() };
    let server = AnyFactory::new(|_: Sender| Silent).serve(settings);
    let crowd = Crowd::leavers(server.addr, count, over);
    report.equals("connections that open", crowd.number(), count);
    (0..MESSAGES).for_each(|_| server.all.broadcast(vec![7; LEN]).unwrap());
    // Without protection, all connections are closed together.
    let spread = options.protected(over, Duration::ZERO);
    server.all.drain(Drain::new().code(CloseCode::Restart).over(spread).deadline(WAIT)).unwrap();
    report.equals("messages that are received", crowd.number(), count * MESSAGES);
    report.equals("connections that receive 1012", crowd.number(), count);
    // The most closes in a tenth of the time, in tenths of the average.
    report.ratio("most closes in an interval : average", crowd.number() as f64 / 10.0, 2.0);
    report.equals("the loop ends before the deadline", holds_in_time(|| server.has_ended()).into(), 1);
    crowd.finish();
    server.wait();
}
