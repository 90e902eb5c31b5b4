//! Every connection keeps some messages under way; each answer is compared and releases the next message.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::Load;
use crate::client::{Client, LoadError, Script};
use crate::connection::Received;
use crate::frames::Template;
use crate::histogram::Histogram;
use crate::measured::{Measured, Measurement};

struct Echo {
    template: Template,
    /// Per connection: the number of the next answer, and when the messages under way were sent.
    due: Vec<u64>,
    sent: Vec<VecDeque<Instant>>,
    answered: u64,
    /// Answers stop releasing messages past this.
    last: u64,
    latencies: Histogram,
}

impl Echo {
    fn send(&mut self, index: usize, at: Instant, out: &mut Vec<u8>) {
        let number = self.due[index] + self.sent[index].len() as u64;
        self.template.write(index, number, out);
        self.sent[index].push_back(at);
    }

    fn under_way(&self) -> usize {
        self.sent.iter().map(VecDeque::len).sum()
    }
}

impl Script for Echo {
    fn message(&mut self, index: usize, message: &Received<'_>, out: &mut Vec<u8>) -> Result<(), LoadError> {
        let due = self.due[index];
        if !self.template.is(message.first_byte, message.payload, index, due) {
            return Err(LoadError::Wrong(index));
        }
        self.due[index] += 1;
        self.answered += 1;
        if let Some(sent) = self.sent[index].pop_front() {
            self.latencies.add(message.at - sent);
        }
        if self.answered < self.last {
            self.send(index, message.at, out);
        }
        Ok(())
    }
}

/// Measures echoes.
///
/// # Errors
/// A wrong or missing answer.
pub fn echo(load: &Load) -> Result<Measured, LoadError> {
    let mut client = Client::new(load.address, &load.path, load.is_deflated)?;
    let mut script = Echo {
        template: load.template()?,
        due: vec![0; load.connections],
        sent: vec![VecDeque::with_capacity(load.in_flight); load.connections],
        answered: 0,
        last: load.messages.unwrap_or(u64::MAX),
        latencies: Histogram::default(),
    };
    client.open(load.connections, 64, &mut script)?;
    let measurement = Measurement::begin(load.server)?;
    let now = Instant::now();
    client.send_on_all(|index, out| (0..load.in_flight).for_each(|_| script.send(index, now, out)))?;
    if load.messages.is_some() {
        let is_done = |script: &Echo| script.under_way() == 0;
        if !client.run_while(&mut script, Duration::from_secs(600), is_done)? {
            return Err(LoadError::Missing(format!("{} answers", script.under_way())));
        }
        return measurement.end(script.answered, &script.latencies);
    }
    client.run_until(&mut script, Instant::now() + load.warm_up)?;
    let before = script.answered;
    script.latencies = Histogram::default();
    let measurement = Measurement::begin(load.server)?;
    client.run_until(&mut script, Instant::now() + load.window)?;
    let measured = measurement.end(script.answered - before, &script.latencies)?;
    script.last = 0;
    if !client.run_while(&mut script, Duration::from_secs(5), |script| {
        script.under_way() == 0
    })? {
        return Err(LoadError::Missing(format!("{} answers", script.under_way())));
    }
    Ok(measured)
}
