//! `cluster` in a build without the feature `redis`: `--redis` is an error.

use std::sync::Arc;

use sockeye::Sender;

use crate::store::Store;
use crate::support::{Failure, Result};

pub(crate) fn connect(_: &str) -> Result<Cluster> {
    Err(Failure::new("--redis needs the feature redis: cargo run --features redis --example chat"))
}

/// Has no value.
pub(crate) enum Cluster {}

impl Cluster {
    pub(crate) fn store(&self) -> Arc<dyn Store> {
        match *self {}
    }

    pub(crate) fn join<S>(&self, _: S) -> Result<S> {
        match *self {}
    }

    pub(crate) fn start(self, _: Sender) -> Result<Self> {
        match self {}
    }
}
