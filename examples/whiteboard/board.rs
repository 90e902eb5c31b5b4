//! One board: the strokes that are on it.

use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Points of all strokes of a board; the oldest strokes leave when there are more.
const MOST_POINTS: usize = 4000;
/// Points of one stroke. A page begins the next one where this ends.
const LONGEST_STROKE: usize = 200;
const WIDTH: u16 = 1600;
const HEIGHT: u16 = 900;
const INKS: u8 = 6;

#[derive(Default)]
pub(crate) struct Board {
    strokes: VecDeque<Stroke>,
    /// Number of the last stroke; they count from 1.
    last: u64,
}

/// A line as a page draws it, on a board of 1600 by 900.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Stroke {
    ink: u8,
    points: Vec<Point>,
}

pub(crate) type Point = [u16; 2];

/// What a newcomer sees.
#[derive(Serialize)]
pub(crate) struct Picture {
    /// Number of the first stroke; those behind it follow without a hole.
    first: u64,
    strokes: Vec<Stroke>,
}

/// A stroke that is finished.
#[derive(Serialize)]
pub(crate) struct Drawn {
    number: u64,
    /// The session that drew it.
    by: u64,
    /// Strokes before this number have left the board.
    first: u64,
    stroke: Stroke,
}

/// Nothing before this number is on the board any more.
#[derive(Serialize)]
pub(crate) struct Cleared {
    first: u64,
}

pub(crate) fn is_on_board([x, y]: Point) -> bool {
    x <= WIDTH && y <= HEIGHT
}

impl Stroke {
    pub(crate) fn is_sound(&self) -> bool {
        let length = self.points.len();
        self.ink < INKS
            && (1..=LONGEST_STROKE).contains(&length)
            && self.points.iter().all(|point| is_on_board(*point))
    }
}

impl Board {
    pub(crate) fn draw(&mut self, by: u64, stroke: Stroke) -> Drawn {
        self.last += 1;
        self.strokes.push_back(stroke.clone());
        let mut points: usize = self.strokes.iter().map(|stroke| stroke.points.len()).sum();
        while points > MOST_POINTS {
            points -= self
                .strokes
                .pop_front()
                .map_or(points, |oldest| oldest.points.len());
        }
        Drawn {
            number: self.last,
            by,
            first: self.first(),
            stroke,
        }
    }

    pub(crate) fn clear(&mut self) -> Cleared {
        self.strokes.clear();
        Cleared { first: self.first() }
    }

    pub(crate) fn picture(&self) -> Picture {
        Picture {
            first: self.first(),
            strokes: self.strokes.iter().cloned().collect(),
        }
    }

    fn first(&self) -> u64 {
        self.last + 1 - self.strokes.len() as u64
    }
}
