//! Echo in rounds: every connection sends its messages, and the next round begins when all replies have been received. The number of
//! messages is therefore exact, as a count of instructions requires.

use std::time::Instant;

use mio::{Events, Poll};

use super::link::{BUFFER, Link, frames_each, wait};
use super::ring::Ring;
use super::{connect, stream::Stream};
use crate::Result;
use crate::spec::{Outcome, Spec};

pub(super) fn run<S: Stream>(spec: &Spec) -> Result<Outcome> {
    let mut poll = Poll::new()?;
    let opened = connect::open::<S>(spec, spec.connections)?;
    let extensions = opened.first().map(|one| one.extensions.clone()).unwrap_or_default();
    let mut links = Link::all(opened, spec, &poll)?;
    let ring = Ring::new(spec, &extensions)?;
    for _ in 0..spec.rounds {
        round(spec, &mut links, &ring, &mut poll)?;
    }
    let operations = (spec.rounds * spec.connections * spec.in_flight) as u64;
    let frames = frames_each(&links);
    Ok(Outcome { operations, extensions, frames, ..Outcome::default() })
}

fn round<S: Stream>(spec: &Spec, links: &mut [Link<S>], ring: &Ring, poll: &mut Poll) -> Result<()> {
    let (mut events, mut buffer) = (Events::with_capacity(1024), vec![0; BUFFER]);
    for link in links.iter_mut() {
        link.owe(spec.in_flight, Instant::now());
        link.send(ring)?;
    }
    let mut missing = spec.connections * spec.in_flight;
    while missing > 0 {
        wait(poll, &mut events)?;
        for event in &events {
            let link = &mut links[event.token().0];
            if event.is_readable() {
                for _ in 0..link.receive(&mut buffer, ring)? {
                    link.answered()?;
                    missing -= 1;
                }
            }
            link.send(ring)?;
        }
    }
    Ok(())
}
