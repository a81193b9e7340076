//! A chat server with rooms, without any list of members: each room is a topic.
//!
//! ```text
//! cargo run --example rooms [ADDRESS]
//! cargo run --example cli ws://127.0.0.1:3012/kitchen
//! ```

#![expect(clippy::print_stdout, reason = "an example prints what it does")]

mod support;

use sockeye::{Handler, Handshake, Message, Result, Sender, WebSocket};

const USAGE: &str = "\
Usage: rooms [ADDRESS]

The path of the URL is the room. Messages go to the other members of the room.

ADDRESS  where to listen [127.0.0.1:3012]";

struct Member {
    out: Sender,
    room: String,
}

impl Handler for Member {
    fn on_open(&mut self, shake: Handshake) -> Result<()> {
        self.room = shake.request.resource().to_owned();
        self.out.subscribe(&self.room)
    }

    fn on_message(&mut self, msg: Message) -> Result<()> {
        self.out.publish(&self.room, msg)
    }
}

fn main() -> support::Result {
    support::init_logger();
    let mut arguments = support::Arguments::parse(USAGE)?;
    let address = arguments.address()?;
    arguments.end()?;

    let socket = WebSocket::new(|out| Member { out, room: String::new() })?.bind(address)?;
    support::shut_down_on_interrupt(&socket.broadcaster());
    println!("rooms on ws://{}/ROOM", socket.local_addr()?);
    socket.run()?;
    Ok(())
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use sockeye::testing::TestLoop;

    use super::*;

    #[test]
    fn a_message_reaches_the_other_members_of_its_room() {
        let kit = TestLoop::new(|out| Member { out, room: String::new() });
        let [cook, guest, gardener] = ["/kitchen", "/kitchen", "/garden"].map(|room| kit.connect(room));
        cook.send("dinner is ready");
        assert_eq!(guest.receive(), "dinner is ready".into());
        assert_eq!((cook.try_receive(), gardener.try_receive()), (None, None));
    }

    #[test]
    fn who_has_left_a_room_is_no_member() {
        let kit = TestLoop::new(|out| Member { out, room: String::new() });
        let (cook, guest) = (kit.connect("/kitchen"), kit.connect("/kitchen"));
        guest.disconnect();
        kit.run_until_idle();
        assert_eq!(kit.sender().subscriber_count("/kitchen"), 1);
        cook.send("is anyone there?");
        assert!(cook.is_open());
    }
}
