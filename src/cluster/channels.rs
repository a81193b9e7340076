//! The names of channels: `prefix:t:topic`, `prefix:n:node`, and `prefix:all` for all nodes.

use std::sync::Arc;

use super::broker::NodeId;

#[derive(Debug)]
pub(super) struct Channels {
    /// The prefix with its colon. After it comes space for the rest of a name.
    name: String,
    prefix_len: usize,
    /// The channel of all nodes.
    pub(super) cluster: Arc<str>,
    /// The channel of this node.
    pub(super) own: Arc<str>,
}

impl Channels {
    pub(super) fn new(prefix: &str, node: NodeId) -> Self {
        let name = format!("{prefix}:");
        Self {
            prefix_len: name.len(),
            cluster: format!("{name}all").into(),
            own: Self::node_in(&name, node),
            name,
        }
    }

    /// Returns the name of the channel of a topic, or of all nodes.
    pub(super) fn of(&mut self, topic: Option<&str>) -> &str {
        let Some(topic) = topic else { return &self.cluster };
        self.name.truncate(self.prefix_len);
        self.name.push_str("t:");
        self.name.push_str(topic);
        &self.name
    }

    pub(super) fn of_node(&self, node: NodeId) -> Arc<str> {
        Self::node_in(self.name.get(..self.prefix_len).unwrap_or_default(), node)
    }

    fn node_in(prefix: &str, node: NodeId) -> Arc<str> {
        format!("{prefix}n:{node}").into()
    }

    /// Removes the prefix from the name of a channel.
    pub(super) fn without_prefix<'a>(&self, channel: &'a str) -> &'a str {
        channel.get(self.prefix_len..).unwrap_or_default()
    }

    /// Adds the prefix.
    pub(super) fn with_prefix(&mut self, rest: &str) -> &str {
        self.name.truncate(self.prefix_len);
        self.name.push_str(rest);
        &self.name
    }
}
