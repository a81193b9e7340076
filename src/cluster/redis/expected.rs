//! What the next replies of the server answer.

use std::collections::VecDeque;

/// The commands of which some replies are missing, in the order in which they were sent. The server answers in this order.
#[derive(Debug, Default)]
pub(super) struct Expected {
    /// Each with the number of missing replies, which is not zero.
    commands: VecDeque<(Command, usize)>,
}

/// A command of a [`Session`](super::session::Session).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    Login(Login),
    Ping,
    /// Has one reply for each channel.
    Subscribe,
    /// Has one reply for each channel.
    Unsubscribe,
    Publish,
}

/// The first commands of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Login {
    Hello,
    Auth,
    Select,
    Ping,
    /// The last one.
    SetName,
}

impl Expected {
    /// Adds a command that was sent, with the number of its replies.
    pub(super) fn push(&mut self, command: Command, replies: usize) {
        match self.commands.back_mut() {
            Some((last, missing)) if *last == command => *missing += replies,
            _ if replies > 0 => self.commands.push_back((command, replies)),
            _ => {}
        }
    }

    /// Returns the command that the next reply answers.
    pub(super) fn pop(&mut self) -> Option<Command> {
        let (command, missing) = self.commands.front_mut()?;
        let command = *command;
        *missing -= 1;
        if *missing == 0 {
            self.commands.pop_front();
        }
        Some(command)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_answer_the_oldest_command() {
        let mut expected = Expected::default();
        for (command, replies) in [
            (Command::Publish, 1),
            (Command::Publish, 1),
            (Command::Ping, 1),
            (Command::Publish, 0),
            (Command::Publish, 1),
        ] {
            expected.push(command, replies);
        }
        let order: Vec<_> = std::iter::from_fn(|| expected.pop()).collect();
        assert_eq!(order, [Command::Publish, Command::Publish, Command::Ping, Command::Publish]);
        assert!(expected.is_empty());
    }
}
