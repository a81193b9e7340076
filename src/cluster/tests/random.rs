//! Random sequences of publications, subscriptions and faults.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;

use super::super::envelope::Flags;
use super::super::events::Missed;
use super::super::options::Options;
use super::world::{TOPICS, World};
use crate::random_inputs::{self, choose};

/// What can go wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fault {
    LoseConnection,
    LoseConnectionAndWhatWasSent,
    RestartServer,
    Swallow,
    Pause,
    Kill,
    Stop,
    Refuse,
    /// A publication is lost, and the connection continues.
    LoseDelivery,
}

use Fault::{
    Kill, LoseConnection, LoseConnectionAndWhatWasSent, LoseDelivery, Pause, Refuse, RestartServer, Stop,
    Swallow,
};

/// How a run differs from others.
#[derive(Clone, Copy)]
struct Run<'a> {
    faults: &'a [Fault],
    steps: usize,
    /// The longest time between two steps in milliseconds.
    pause: u64,
    max_unacknowledged: usize,
    max_announced: usize,
    /// Whether what is on the way arrives before time passes, unless it is lost.
    is_prompt: bool,
}

const USUAL: Run<'_> = Run {
    faults: &[],
    steps: 300,
    pause: 400,
    max_unacknowledged: 10_000,
    max_announced: 10_000,
    is_prompt: false,
};

fn run(rng: &mut StdRng, run: Run<'_>) -> World {
    let options = Options {
        max_unacknowledged: run.max_unacknowledged,
        max_announced: run.max_announced,
        ..Options::default()
    };
    let mut world = World::new(rng.random_range(2..5), options);
    let total = choose(rng, &[Flags::default(), Flags::TOTAL_ORDER]);
    for _ in 0..run.steps {
        let node = rng.random_range(0..world.nodes.len());
        match rng.random_range(0..100) {
            0..35 if world.is_running(node) => {
                let flags = choose(rng, &[Flags::default(), total]);
                let topic = choose(rng, &TOPICS);
                let _ = world.publish(node, topic, flags);
            }
            35..50 => world.serve(node, rng.random_range(0..10)),
            50..65 => world.deliver(node, rng.random_range(0..10)),
            65..75 => {
                if run.is_prompt {
                    world.transmit();
                }
                world.advance(Duration::from_millis(rng.random_range(0..run.pause)));
            }
            75..82 => world.connect(node),
            82..92 if world.is_running(node) => {
                let topic = choose(rng, &["a", "b", "c"]);
                match rng.random_range(0..10) {
                    0..7 => world.open(node, topic),
                    _ => world.close(node, topic),
                }
            }
            92 => world.resume(node),
            93 => world.serve_leftovers(rng.random_range(0..10)),
            94 => world.transmit(),
            95.. if !run.faults.is_empty() => inject(rng, &mut world, node, run.faults),
            _ => {}
        }
    }
    world.heal_and_check();
    world
}

fn inject(rng: &mut StdRng, world: &mut World, node: usize, faults: &[Fault]) {
    match choose(rng, faults) {
        LoseConnection => world.disconnect(node),
        LoseConnectionAndWhatWasSent => {
            world.disconnect(node);
            world.drop_leftovers();
        }
        RestartServer => world.restart_server(),
        Swallow => {
            if let Some(connection) = &mut world.nodes[node].connection {
                connection.swallows = true;
            }
        }
        Pause => world.nodes[node].is_paused = true,
        Kill if world.nodes.len() < 6 && world.is_running(node) => {
            world.kill(node);
            world.start_node();
        }
        Stop if world.nodes.len() < 6 && world.is_running(node) => {
            world.stop(node);
            world.start_node();
        }
        Kill | Stop => {}
        Refuse => world.nodes[node].refuses = rng.random_range(1..5),
        LoseDelivery => world.lose_delivery(node),
    }
}

fn only_joined(world: &World) -> bool {
    world.checker.gaps.iter().all(|(_, _, missed)| *missed == Missed::Joined)
}

#[test]
fn without_faults_everything_is_delivered_and_no_gap_is_reported() {
    let mut delivered = 0;
    random_inputs::for_each(|rng| {
        let world = run(rng, Run { is_prompt: true, ..USUAL });
        assert!(only_joined(&world), "{:?}", world.checker.gaps);
        delivered += world.checker.delivered.len();
    });
    assert!(delivered > 0);
}

#[test]
fn without_faults_no_gap_is_reported_when_topics_are_forgotten() {
    random_inputs::for_each(|rng| {
        let world = run(rng, Run { pause: 1900, is_prompt: true, ..USUAL });
        assert!(only_joined(&world), "{:?}", world.checker.gaps);
    });
}

#[test]
fn every_loss_is_reported_after_faults_of_one_kind() {
    let all = [
        LoseConnection,
        LoseConnectionAndWhatWasSent,
        RestartServer,
        Swallow,
        Pause,
        Kill,
        Stop,
        Refuse,
        LoseDelivery,
    ];
    random_inputs::for_each(|rng| {
        let fault = choose(rng, &all);
        run(rng, Run { faults: &[fault], ..USUAL });
    });
}

#[test]
fn every_loss_is_reported_after_many_faults() {
    let faults =
        [LoseConnection, LoseConnectionAndWhatWasSent, RestartServer, Swallow, Pause, Kill, Stop, Refuse];
    random_inputs::for_each(|rng| {
        let max_unacknowledged = choose(rng, &[1, 10, 10_000]);
        run(rng, Run { faults: &faults, max_unacknowledged, pause: 1900, ..USUAL });
    });
}

#[test]
fn every_loss_is_reported_when_queues_are_short() {
    random_inputs::for_each(|rng| {
        let faults = [LoseConnection, Pause, Refuse, LoseDelivery, RestartServer];
        let max_unacknowledged = rng.random_range(0..6);
        run(rng, Run { faults: &faults, max_unacknowledged, ..USUAL });
    });
}

#[test]
fn every_loss_is_reported_when_few_topics_can_be_announced() {
    random_inputs::for_each(|rng| {
        let faults = [LoseConnection, LoseConnectionAndWhatWasSent, Refuse];
        let (max_announced, max_unacknowledged) = (rng.random_range(0..3), rng.random_range(1..6));
        run(rng, Run { faults: &faults, max_announced, max_unacknowledged, ..USUAL });
    });
}

/// Nodes that stay connected miss nothing of what a node publishes while it is not connected.
///
/// There is one exception, which this test leaves out: if the server processes something of the lost connection after the
/// new one, and another node subscribes in between, that node takes the repetition for its first message.
#[test]
fn a_lost_connection_loses_nothing_of_what_its_node_publishes() {
    let mut duplicates = 0;
    random_inputs::for_each(|rng| {
        let faults = [LoseConnectionAndWhatWasSent];
        let world = run(rng, Run { faults: &faults, is_prompt: true, ..USUAL });
        let holes = world.checker.gaps.iter().filter(|(_, _, missed)| *missed == Missed::Hole);
        assert_eq!(holes.count(), 0);
        duplicates += world.nodes.iter().map(|sim| sim.node.stats().duplicates).sum::<u64>();
    });
    assert!(duplicates > 0);
}
