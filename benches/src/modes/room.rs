//! One member of a room speaks, every member (the speaker too) must hear everything in order.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::Load;
use crate::client::{Client, LoadError, Script};
use crate::connection::Received;
use crate::frames::Template;
use crate::histogram::Histogram;
use crate::measured::{Measured, Measurement};

/// Some servers let a client in before they have put it into the room.
const SETTLING: Duration = Duration::from_millis(300);

/// A message that not every member has heard.
struct UnderWay {
    missing: usize,
    sent: Instant,
}

struct Room {
    template: Template,
    /// Per member: the number of the next message.
    due: Vec<u64>,
    under_way: VecDeque<UnderWay>,
    /// Number of the oldest message under way.
    oldest: u64,
    to_say: usize,
    delivered: u64,
    /// Heard-by-all messages stop releasing others past this many deliveries.
    last: u64,
    latencies: Histogram,
}

impl Script for Room {
    fn message(&mut self, index: usize, message: &Received<'_>, _out: &mut Vec<u8>) -> Result<(), LoadError> {
        let due = self.due[index];
        if !self.template.is(message.first_byte, message.payload, 0, due) {
            return Err(LoadError::Wrong(index));
        }
        self.due[index] += 1;
        self.delivered += 1;
        let position = (due - self.oldest) as usize;
        let under_way = self.under_way.get_mut(position).ok_or(LoadError::Wrong(index))?;
        under_way.missing -= 1;
        self.latencies.add(message.at - under_way.sent);
        while self.under_way.front().is_some_and(|front| front.missing == 0) {
            self.under_way.pop_front();
            self.oldest += 1;
            self.to_say += usize::from(self.delivered < self.last);
        }
        Ok(())
    }

    fn first_connection(&mut self, out: &mut Vec<u8>) {
        if self.to_say == 0 {
            return;
        }
        let sent = Instant::now();
        for _ in 0..std::mem::take(&mut self.to_say) {
            let number = self.oldest + self.under_way.len() as u64;
            self.template.write(0, number, out);
            let missing = self.due.len();
            self.under_way.push_back(UnderWay { missing, sent });
        }
    }
}

/// Measures deliveries in a room.
///
/// # Errors
/// A wrong or missing delivery.
pub fn room(load: &Load) -> Result<Measured, LoadError> {
    let mut client = Client::new(load.address, &load.path, load.is_deflated)?;
    let mut script = Room {
        template: load.template()?,
        due: vec![0; load.connections],
        under_way: VecDeque::new(),
        oldest: 0,
        to_say: 0,
        delivered: 0,
        last: load.messages.unwrap_or(u64::MAX),
        latencies: Histogram::default(),
    };
    client.open(load.connections, 64, &mut script)?;
    client.run_until(&mut script, Instant::now() + SETTLING)?;
    let measurement = Measurement::begin(load.server)?;
    script.to_say = load.in_flight;
    client.send_on_all(|index, out| {
        if index == 0 {
            script.first_connection(out);
        }
    })?;
    if load.messages.is_some() {
        finish(&mut client, &mut script, Duration::from_secs(600))?;
        return measurement.end(script.delivered, &script.latencies);
    }
    client.run_until(&mut script, Instant::now() + load.warm_up)?;
    let before = script.delivered;
    script.latencies = Histogram::default();
    let measurement = Measurement::begin(load.server)?;
    client.run_until(&mut script, Instant::now() + load.window)?;
    let measured = measurement.end(script.delivered - before, &script.latencies)?;
    script.last = 0;
    finish(&mut client, &mut script, Duration::from_secs(5))?;
    Ok(measured)
}

fn finish(client: &mut Client, script: &mut Room, patience: Duration) -> Result<(), LoadError> {
    if client.run_while(script, patience, |script| script.under_way.is_empty())? {
        return Ok(());
    }
    let missing: usize = script.under_way.iter().map(|message| message.missing).sum();
    Err(LoadError::Missing(format!("{missing} deliveries")))
}
