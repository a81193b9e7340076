//! The addresses at which browsers find the nodes.

use sockeye::url::Url;

use crate::support::{Failure, Result};

/// What the page knows of its server.
#[derive(Debug, Default)]
pub(crate) struct Site {
    /// Whether other nodes have the same rooms, so that the page can use any of them.
    pub(crate) is_cluster: bool,
    /// The origins of all nodes, such as `https://a.example`. Empty if all nodes have the address of this one.
    pub(crate) nodes: Vec<String>,
}

impl Site {
    /// The site of a node in a cluster. The list has the URLs of all nodes, with commas between them.
    pub(crate) fn of_cluster(nodes: &str) -> Result<Self> {
        let nodes = nodes.split(',').filter(|url| !url.is_empty()).map(origin).collect::<Result<_>>()?;
        Ok(Self { is_cluster: true, nodes })
    }

    /// Returns the sources to which a page can open a WebSocket, for its `Content-Security-Policy`.
    pub(crate) fn websocket_sources(&self) -> String {
        self.nodes.iter().map(|origin| format!(" {}", origin.replacen("http", "ws", 1))).collect()
    }
}

/// Returns the origin of a URL, which contains no character that HTML or a header would need to escape.
fn origin(url: &str) -> Result<String> {
    let parsed = Url::parse(url).map_err(|error| format!("{url} is not a URL: {error}"))?;
    match parsed.scheme() {
        "http" | "https" => Ok(parsed.origin().ascii_serialization()),
        other => Err(Failure::new(format!("{url} has the scheme {other}; expected http or https"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_origins_and_sources_of_websockets() {
        let site = Site::of_cluster("http://a.example:3012/,https://B.example/chat?x=\"<").unwrap();
        assert_eq!(site.nodes, ["http://a.example:3012", "https://b.example"]);
        assert_eq!(site.websocket_sources(), " ws://a.example:3012 wss://b.example");
        assert!(Site::of_cluster("").unwrap().nodes.is_empty());
        for bad in ["a.example", "ws://a.example", "http://"] {
            assert!(Site::of_cluster(bad).is_err(), "{bad}");
        }
    }
}
