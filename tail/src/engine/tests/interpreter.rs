//! Any sequence of what may happen to a log and its reader.

use std::cell::RefCell;
use std::rc::Rc;

use proptest::prelude::*;

use super::*;

/// What may happen to a log and its reader.
#[derive(Debug, Clone)]
enum Action {
    Write(u8),
    Partial,
    Rotate,
    Turn,
    Hold(bool),
    Deliver,
    Kill,
    Lose,
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    prop::collection::vec(
        prop_oneof![
            4 => (1u8..6).prop_map(Action::Write),
            1 => Just(Action::Partial),
            2 => Just(Action::Rotate),
            4 => Just(Action::Turn),
            1 => any::<bool>().prop_map(Action::Hold),
            2 => Just(Action::Deliver),
            1 => Just(Action::Kill),
            1 => Just(Action::Lose),
        ],
        0..40,
    )
}

proptest! {
    /// Whatever happens, every line comes at least once, and each run of the reader gives them in order.
    #[test]
    fn nothing_is_lost(actions in actions()) {
        let mut world = World::containers();
        world.settings.read_size = 200;
        world.settings.max_in_flight_bytes = 700;
        // A first save, so that whatever appears later is known to be new.
        world.append("0.log", "");
        world.turns(1);
        let number = Rc::new(RefCell::new(0));
        let next = || { *number.borrow_mut() += 1; *number.borrow() };
        let mut rotations = 0;
        let mut runs: Vec<Vec<String>> = vec![Vec::new()];
        let mut open = false;
        for action in actions {
            match action {
                Action::Write(count) => for _ in 0..count {
                    let text = format!("{}.", next());
                    world.append("0.log", &cri("stdout", "F", &text));
                    open = false;
                },
                Action::Partial => {
                    world.append("0.log", &cri("stdout", "P", &format!("{},", next())));
                    open = true;
                }
                Action::Rotate => {
                    rotations += 1;
                    world.rename("0.log", &format!("0.log.20260101-{rotations:06}"));
                    world.append("0.log", "");
                }
                Action::Turn => world.turns(1),
                Action::Hold(hold) => world.hold(hold),
                Action::Deliver => world.deliver(None),
                Action::Kill | Action::Lose => {
                    if matches!(action, Action::Kill) {
                        world.kill();
                    } else {
                        let tickets = std::mem::take(&mut world.got.lock().tickets);
                        drop(tickets);
                        world.turns(2);
                    }
                    let lines = std::mem::take(&mut world.got.lock().lines);
                    runs.last_mut().unwrap().extend(lines);
                    runs.push(Vec::new());
                }
            }
        }
        if open {
            world.append("0.log", &cri("stdout", "F", &format!("{}.", next())));
        }
        world.hold(false);
        for _ in 0..20 {
            world.deliver(None);
            world.turns(2);
        }
        let lines = std::mem::take(&mut world.got.lock().lines);
        runs.last_mut().unwrap().extend(lines);

        let mut seen: BTreeSet<u32> = BTreeSet::new();
        for run in &runs {
            for line in run {
                let numbers: Vec<u32> = line
                    .trim_start_matches("stdout: ")
                    .split([',', '.', '+'])
                    .filter_map(|text| text.parse().ok())
                    .collect();
                // Joined from the right parts.
                prop_assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{}", line);
                seen.extend(numbers);
            }
        }
        let written = *number.borrow();
        prop_assert_eq!(seen.len(), written, "runs: {:?}", runs);
        prop_assert_eq!(world.stat(|stats| &stats.gaps), 0);
    }
}
