use proptest::prelude::*;

use super::*;

type Rows<'a> = Vec<(&'a [&'a str], u64)>;

fn work(rows: &[(&[&str], u64)]) -> Vec<Work> {
    let keys = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect();
    rows.iter().map(|(of, bytes)| Work { keys: keys(of), bytes: *bytes }).collect()
}

fn limits(texts: &[&str]) -> Limits {
    let mut limits = Limits::default();
    texts.iter().for_each(|text| limits.set(text.parse().unwrap()));
    limits
}

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn started(scheduler: &mut Scheduler, now: u64) -> Vec<usize> {
    std::iter::from_fn(|| scheduler.next(at(now), |_| true)).collect()
}

#[test]
fn the_longest_go_first_as_far_as_there_are_places() {
    let work = work(&[(&["host:a"], 1), (&["host:a"], 5), (&["host:b"], 3), (&["host:a", "store:x"], 4), (&[], 2)]);
    let mut scheduler = Scheduler::new(&work, &limits(&["host:a=2", "store:*=1", "total=3"]), Retries::default());
    assert_eq!(started(&mut scheduler, 0), [1, 3, 2]);
    assert_eq!(scheduler.ended(2, 0, at(1)), Next::Done);
    assert_eq!(started(&mut scheduler, 1), [4], "the smaller one of the free place, not that of a full host");
    assert_eq!(scheduler.limited_by(4, at(1)), Some(TOTAL));
    assert_eq!(scheduler.ended(4, 65, at(2)), Next::Failed);
    assert!(started(&mut scheduler, 2).is_empty());
    scheduler.ended(1, 0, at(3));
    assert_eq!(started(&mut scheduler, 3), [0]);
    assert_eq!(scheduler.limited_by(0, at(3)), Some("host:a"));
    [0, 3].into_iter().for_each(|index| _ = scheduler.ended(index, 0, at(4)));
    assert!(scheduler.is_over());
}

#[test]
fn a_source_that_was_read_makes_room_while_its_guest_boots() {
    let mut scheduler = Scheduler::new(
        &work(&[(&["host:a"], 2), (&["host:a"], 1)]),
        &limits(&["host:*=1", "total=2"]),
        Retries::default(),
    );
    assert_eq!(started(&mut scheduler, 0), [0]);
    scheduler.source_is_read(0);
    scheduler.source_is_read(0);
    assert_eq!(started(&mut scheduler, 1), [1]);
    scheduler.ended(0, 0, at(2));
    assert_eq!(scheduler.keys[0].taken, 1, "one place is given back once");
}

#[test]
fn what_has_begun_is_tried_again_after_the_last_one_was_to_begin() {
    let mut scheduler =
        Scheduler::new(&work(&[(&[], 3), (&[], 2), (&[], 1)]), &limits(&["total=2"]), Retries::default());
    assert_eq!(started(&mut scheduler, 0), [0, 1]);
    assert!(matches!(scheduler.ended(0, 75, at(1)), Next::Again(_)));
    scheduler.close();
    assert_eq!(started(&mut scheduler, 1000), [0], "the third one never began");
    assert!(!scheduler.is_over());
    [0, 1].into_iter().for_each(|index| _ = scheduler.ended(index, 0, at(1001)));
    assert!(scheduler.is_over());
}

#[test]
fn only_what_a_retry_may_cure_is_tried_again_after_its_pause() {
    let mut scheduler = Scheduler::new(&work(&[(&[], 1)]), &limits(&[]), Retries::default());
    for (pause, now) in [(30, 0), (300, 1000)] {
        assert_eq!(started(&mut scheduler, now), [0]);
        let Next::Again(after) = scheduler.ended(0, 75, at(now)) else { panic!("it is tried again") };
        assert!((at(pause)..=at(pause) * 5 / 4).contains(&after), "{after:?}");
        assert_eq!(scheduler.wake(at(now)), Some(at(now) + after));
        assert_eq!(scheduler.next(at(now) + after - Duration::from_millis(1), |_| true), None);
    }
    assert_eq!(started(&mut scheduler, 2000), [0]);
    assert_eq!(scheduler.ended(0, 74, at(2000)), Next::Failed);
    assert!(scheduler.is_over());
    for code in [1, 2, 65, 69, 73, 77, 78, 80, 81, 130] {
        let mut scheduler = Scheduler::new(&work(&[(&[], 1)]), &limits(&[]), Retries::default());
        started(&mut scheduler, 0);
        assert_eq!(scheduler.ended(0, code, at(1)), Next::Failed, "{code}");
    }
}

#[test]
fn a_place_that_keeps_failing_is_left_alone_and_the_others_go_on() {
    let rows: Rows = vec![(&["host:a"], 9); 4];
    let mut work = work(&rows);
    work.push(Work { keys: vec!["host:b".to_owned()], bytes: 1 });
    let none = Retries { pauses: Vec::new(), ..Retries::default() };
    let mut scheduler = Scheduler::new(&work, &limits(&["total=1"]), none);
    for index in 0..3 {
        assert_eq!(started(&mut scheduler, 0), [index]);
        scheduler.ended(index, 74, at(0));
    }
    assert_eq!(started(&mut scheduler, 1), [4], "host:b has done nothing wrong");
    scheduler.ended(4, 0, at(2));
    assert_eq!((started(&mut scheduler, 599), scheduler.wake(at(599))), (vec![], Some(at(600))));
    assert_eq!(started(&mut scheduler, 600), [3]);
    assert_eq!(scheduler.limited_by(3, at(600)), Some("host:a"));
}

#[test]
fn a_success_between_failures_pauses_nothing() {
    let mut scheduler = Scheduler::new(
        &work(&Rows::from([(&["host:a"][..], 1); 6])),
        &limits(&["total=1"]),
        Retries { pauses: vec![], ..Retries::default() },
    );
    for (index, code) in [74, 75, 0, 75, 65, 75].into_iter().enumerate() {
        assert_eq!(started(&mut scheduler, 0), [index]);
        scheduler.ended(index, code, at(0));
    }
    assert!(scheduler.is_over());
}

#[test]
fn a_server_that_refused_a_login_gets_no_further_one() {
    let rows = work(&[(&["server:vc"], 5), (&["server:vc"], 4), (&["server:vc", "host:a"], 3), (&["server:other"], 1)]);
    let mut scheduler = Scheduler::new(&rows, &limits(&["total=2"]), Retries::default());
    assert_eq!(started(&mut scheduler, 0), [0, 1]);
    assert_eq!(scheduler.ended(0, 77, at(0)), Next::Failed);
    assert_eq!(scheduler.give_up(), [(2, "server:vc".to_owned())], "the one that runs is left to run");
    assert_eq!(started(&mut scheduler, 0), [3]);
    // It would be tried again, and is not.
    assert!(matches!(scheduler.ended(1, 75, at(1)), Next::Again(_)));
    assert_eq!(scheduler.give_up(), [(1, "server:vc".to_owned())]);
    scheduler.ended(3, 0, at(1));
    assert!(scheduler.is_over());
}

#[test]
fn a_stopped_batch_ends_with_what_runs() {
    let mut scheduler =
        Scheduler::new(&work(&Rows::from([(&[][..], 1); 3])), &limits(&["total=1"]), Retries::default());
    assert_eq!(started(&mut scheduler, 0), [0]);
    scheduler.stop();
    assert!(!scheduler.is_over());
    scheduler.ended(0, 130, at(0));
    assert!(scheduler.is_over() && started(&mut scheduler, 1).is_empty());
}

#[test]
fn a_refusal_from_outside_holds_back_one_vm_alone() {
    let mut scheduler = Scheduler::new(&work(&[(&[], 2), (&[], 1)]), &limits(&["total=2"]), Retries::default());
    assert_eq!(scheduler.next(at(0), |index| index == 1), Some(1));
    assert_eq!(scheduler.next(at(0), |_| true), Some(0));
}

proptest! {
    /// Whatever ends how, no key has more at once than its limit, and every VM is over in the end.
    #[test]
    fn no_key_ever_has_more_than_its_places(
        rows in prop::collection::vec((prop::collection::vec(0..4usize, 0..3), 0..9u64), 1..40),
        codes in prop::collection::vec(prop::sample::select(vec![0u8, 65, 74, 75, 77]), 200),
    ) {
        let name = |key: &usize| format!("{}:{key}", if *key == 3 { SERVER } else { "host" });
        let work: Vec<Work> =
            rows.iter().map(|(keys, bytes)| Work { keys: keys.iter().map(name).collect(), bytes: *bytes }).collect();
        let bound = |key: &str| [("host:0", 1), ("host:1", 2)].iter().find(|(name, _)| *name == key).map_or(3, |(_, n)| *n);
        let mut scheduler = Scheduler::new(&work, &limits(&["host:0=1", "host:1=2", "host:*=3", "server:*=3", "total=5"]), Retries::default());
        let (mut now, mut running, mut over) = (Duration::ZERO, Vec::<usize>::new(), 0);
        let mut codes = codes.into_iter().cycle();
        while !scheduler.is_over() {
            while let Some(index) = scheduler.next(now, |_| true) {
                running.push(index);
            }
            prop_assert!(running.len() <= 5);
            for key in (0..4).map(|key| name(&key)) {
                let taken = running.iter().filter(|index| work[**index].keys.contains(&key)).count();
                prop_assert!(taken <= bound(&key), "{} of {key}", taken);
            }
            match running.pop() {
                Some(index) => over += usize::from(!matches!(scheduler.ended(index, codes.next().unwrap(), now), Next::Again(_))),
                None => now = scheduler.wake(now).expect("something waits for a moment"),
            }
            over += scheduler.give_up().len();
        }
        prop_assert_eq!(over, work.len());
    }
}
