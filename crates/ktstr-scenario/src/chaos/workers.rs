//! How a seed decides what workers draw and in which order they start: both are settled before the first of them is forked.

use super::{Perturbation, What};
use crate::random::Random;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Mixed into every number that a worker draws; 0 where nothing is perturbed.
static SALT: AtomicU64 = AtomicU64::new(0);
static ORDERS: Mutex<Orders> = Mutex::new(Orders { left: BTreeMap::new(), started: 0 });

/// Orders of crews to come.
struct Orders {
    left: BTreeMap<u32, Order>,
    started: u32,
}

/// An order for the workers of one crew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    draw: u64,
    /// Time from one start to the next.
    pub apart: Duration,
}

impl Order {
    /// Whose turn it is, one after the other.
    pub fn of(self, count: usize) -> Vec<usize> {
        let mut dice = Random::new(self.draw);
        let mut all: Vec<usize> = (0..count).collect();
        // Fisher and Yates, from the end.
        for last in (1..count).rev() {
            let other = dice.between(0, last as u64);
            all.swap(last, usize::try_from(other).unwrap_or(last));
        }
        all
    }
}

/// What workers draw from besides their index.
pub fn salt() -> u64 {
    SALT.load(Relaxed)
}

/// The order for the crew that starts now, if it has one.
pub fn next_order() -> Option<Order> {
    let mut orders = ORDERS.lock().unwrap_or_else(PoisonError::into_inner);
    let crew = orders.started;
    orders.started = crew.saturating_add(1);
    orders.left.remove(&crew)
}

/// From here on as the plan says; an empty one takes everything back.
pub fn settle(plan: &[Perturbation]) {
    let mut orders = Orders { left: BTreeMap::new(), started: 0 };
    let mut salt = 0;
    for entry in plan {
        match entry.what {
            What::Numbers { salt: drawn } => salt = drawn,
            What::Order { crew, draw } => {
                orders.left.insert(crew, Order { draw, apart: entry.length });
            }
            What::Busy { .. } | What::Confined { .. } | What::Offline { .. } => {}
        }
    }
    SALT.store(salt, Relaxed);
    *ORDERS.lock().unwrap_or_else(PoisonError::into_inner) = orders;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_order_has_everybody_once_and_is_the_same_each_time(draw in any::<u64>(), count in 0usize..40) {
            let order = Order { draw, apart: Duration::ZERO };
            let mut all = order.of(count);
            prop_assert_eq!(&all, &order.of(count));
            all.sort_unstable();
            prop_assert_eq!(all, (0..count).collect::<Vec<_>>());
        }
    }

    #[test]
    fn orders_differ() {
        let of = |draw| Order { draw, apart: Duration::ZERO }.of(8);
        assert!((1..20).any(|draw| of(draw) != of(0)));
    }
}
