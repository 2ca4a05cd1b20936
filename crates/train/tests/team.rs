//! Processes that share each step; here they are threads.

#![allow(clippy::unwrap_used)]

mod walk;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::thread;

use candle_core::{Device, Tensor, Var};
use domex_error::user_error;
use domex_ranks::{Group, Launch};
use domex_train::accumulate::{Accumulator, passes};
use domex_train::adam::{Adam, AdamConfig};
use domex_train::{
    Clock, Error, Job, JobResult, Losses, Measures, Outcome, Parameters, Result, RunConfig,
    RunFolder, State, Team, run,
};
use walk::{Plan, Walk, lines, weights};

/// What each of so many ranks makes of its team.
fn together<T: Send>(size: usize, work: impl Fn(Team) -> T + Sync) -> Vec<T> {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let rank = |rank| {
        let launch = Launch {
            rank,
            port,
            ..Launch::local(size)
        };
        work(Team::of(Group::join(&launch, "").unwrap()))
    };
    thread::scope(|scope| {
        let rank = &rank;
        let ranks: Vec<_> = (0..size).map(|r| scope.spawn(move || rank(r))).collect();
        ranks.into_iter().map(|rank| rank.join().unwrap()).collect()
    })
}

#[test]
fn the_passes_of_ranks_are_all_passes_in_their_order() {
    for (size, count) in [(2, 5), (3, 3), (3, 7), (2, 1)] {
        let all = together(size, |team| team.passes(count));
        let all: Vec<usize> = all.into_iter().flatten().collect();
        assert_eq!(all, (0..count).collect::<Vec<_>>());
    }
}

const BATCH: usize = 7;

/// Some steps on two variables, of which the second has a gradient in the last pass alone: the weights' bits, and what the last step told.
fn stepped(team: &Team, micro_batch: usize, broken: Option<usize>) -> (Vec<u32>, Losses) {
    let var = |values: &[f32]| Var::new(values, &Device::Cpu).unwrap();
    let (x, y) = (var(&[0.3, -2.0, 1e-3]), var(&[1.0]));
    let vars = [("x".to_owned(), x.clone()), ("y".to_owned(), y.clone())];
    let parameters = Parameters::new(vars.into());
    let mut adam = Adam::new(&parameters, AdamConfig::default()).unwrap();
    let mut losses = Losses::default();
    for step in 0..3 {
        losses = Losses::default();
        let passes = passes(BATCH, micro_batch);
        let mut sum = Accumulator::shared(team, passes.len());
        for (index, &n) in passes.iter().enumerate() {
            if !sum.begin(index) {
                continue;
            }
            let scale = 1.7f32.powi(index as i32 * 3 - step);
            let target = Tensor::new(&[scale, 0.1 / scale, -scale], &Device::Cpu).unwrap();
            let mut loss = x.sub(&target).unwrap().sqr().unwrap().sum_all().unwrap();
            if index + 1 == passes.len() {
                loss = (loss + y.sqr().unwrap().sum_all().unwrap()).unwrap();
            }
            if broken == Some(index) {
                loss = (loss * f64::NAN).unwrap();
            }
            let share = n as f64 / BATCH as f64;
            sum.add("loss", &loss, share, 1.0).unwrap();
            sum.note("note", f64::from(scale), share);
            sum.carry("carried", f64::from(scale) * share);
            let mut told = Losses::default();
            told.put(&format!("pass {index}"), f64::from(scale));
            sum.report(told);
        }
        sum.exchange().unwrap();
        losses.put("carried", sum.carried("carried"));
        sum.apply(&mut adam, &[], &mut losses).unwrap();
    }
    let bits = |var: &Var| var.to_vec1::<f32>().unwrap().into_iter().map(f32::to_bits);
    (bits(&x).chain(bits(&y)).collect(), losses)
}

#[test]
fn several_ranks_move_and_tell_as_one_process_does_to_the_bit() {
    for micro_batch in [1, 2] {
        let alone = stepped(&Team::default(), micro_batch, None);
        assert!(alone.1.not_finite.is_empty());
        for size in [2, 3] {
            for shared in together(size, |team| stepped(&team, micro_batch, None)) {
                assert_eq!(shared, alone, "{size} ranks");
            }
        }
    }
}

#[test]
fn a_pass_that_is_not_finite_stops_the_step_of_every_rank() {
    let start = [0.3f32, -2.0, 1e-3, 1.0].map(f32::to_bits);
    for (weights, losses) in together(2, |team| stepped(&team, 1, Some(6))) {
        assert_eq!(weights, start);
        assert_eq!(losses.not_finite, ["loss"]);
    }
}

/// The walk as the work of several ranks: each takes the same steps.
struct Shared {
    walk: Walk,
    team: Team,
    /// What every rank computes by itself.
    computed: f32,
    /// A step that fails.
    fails_at: Option<u64>,
}

impl Job for Shared {
    fn team(&self) -> Team {
        self.team.clone()
    }
    fn computed(&self, state: &mut State) -> JobResult<()> {
        let basis = Tensor::new(&[self.computed], &Device::Cpu)?;
        Ok(state.put_tensor("basis", &basis)?)
    }
    fn batch(&self) -> usize {
        self.walk.batch()
    }
    fn step(&mut self, at: &Clock) -> JobResult<Losses> {
        if self.fails_at == Some(at.step) {
            return Err(user_error("a defect of this rank"));
        }
        self.walk.step(at)
    }
    fn save(&self, state: &mut State) -> JobResult<()> {
        self.walk.save(state)
    }
    fn restore(&mut self, state: &State) -> JobResult<()> {
        self.walk.restore(state)
    }
    fn tick(&mut self, at: &Clock, folder: &RunFolder) -> JobResult<Measures> {
        assert!(self.team.is_first());
        self.walk.tick(at, folder)
    }
    fn export(&self, at: &Clock, path: &Path) -> JobResult<()> {
        self.walk.export(at, path)
    }
}

fn shared(plan: &Plan, team: Team, change: impl Fn(&mut Shared)) -> Result<Outcome> {
    let mut job = Shared {
        walk: Walk::new(plan),
        team,
        computed: 1.0,
        fails_at: None,
    };
    change(&mut job);
    run(&mut job, &plan.config(false))
}

fn folders() -> (tempfile::TempDir, [PathBuf; 2]) {
    let root = tempfile::tempdir().unwrap();
    let folders = ["alone", "shared"].map(|name| root.path().join(name));
    (root, folders)
}

#[test]
fn ranks_do_one_run_and_resume_it_with_another_number() {
    let (_root, [alone, out]) = folders();
    let plan = Plan::new(&alone, 14);
    let whole = run(&mut Walk::new(&plan), &plan.config(false)).unwrap();
    let half = Plan::new(&out, 9);
    let outcomes = together(3, |team| shared(&half, team, |_| ()).unwrap());
    assert!(outcomes.iter().all(|outcome| outcome.clock.step == 9));
    let rest = Plan {
        resume: Some(out.clone()),
        ..Plan::new(&out, 14)
    };
    let outcomes = together(2, |team| shared(&rest, team, |_| ()).unwrap());
    assert_eq!(weights(&out), weights(&alone));
    for outcome in &outcomes {
        assert_eq!(outcome.clock.tick, outcomes[0].clock.tick);
        assert_eq!(outcome.snapshot, outcomes[0].snapshot);
        assert!(outcome.snapshot.is_file() && outcome.model.is_file());
    }
    assert_eq!(outcomes[0].skipped, whole.skipped);
    // Nothing is left to do.
    let outcomes = together(2, |team| shared(&rest, team, |_| ()).unwrap());
    assert!(outcomes.iter().all(|outcome| outcome.clock.step == 14));
}

#[test]
fn a_file_stop_ends_the_run_of_all_ranks_at_the_same_step() {
    let (_root, [_, out]) = folders();
    let plan = Plan {
        wait_ms: 5,
        ..Plan::new(&out, 100_000)
    };
    let outcomes = together(2, |team| {
        let is_first = team.is_first();
        thread::scope(|scope| {
            let done = scope.spawn(|| shared(&plan, team, |_| ()).unwrap());
            while is_first && !out.join("events.jsonl").exists() {
                thread::sleep(std::time::Duration::from_millis(2));
            }
            if is_first {
                std::fs::write(out.join("stop"), "").unwrap();
            }
            done.join().unwrap()
        })
    });
    for outcome in &outcomes {
        assert_eq!(outcome.signal, Some(15));
        assert_eq!(outcome.clock.step, outcomes[0].clock.step);
    }
}

#[test]
fn a_rank_that_computed_something_else_is_refused_before_the_first_step() {
    let (_root, [_, out]) = folders();
    let plan = Plan::new(&out, 4);
    let ends = together(3, |team| {
        let is_last = team.rank() == 2;
        shared(&plan, team, |job| {
            if is_last {
                // The next number.
                job.computed = 1.0 + f32::EPSILON;
            }
        })
    });
    for end in ends {
        let error = end.unwrap_err();
        assert!(matches!(error, Error::Differs { rank: 2, .. }), "{error}");
        assert!(error.to_string().contains("tensor basis"), "{error}");
    }
    assert!(lines(&out).is_empty());
}

#[test]
fn a_lost_rank_ends_the_run_which_can_be_resumed() {
    let (_root, [alone, out]) = folders();
    let plan = Plan::new(&out, 14);
    let ends = together(3, |team| {
        let is_one = team.rank() == 1;
        let failing = |job: &mut Shared| job.fails_at = is_one.then_some(9);
        shared(&plan, team, failing)
    });
    let errors: Vec<String> = ends
        .into_iter()
        .map(|end| end.unwrap_err().to_string())
        .collect();
    assert!(errors[1].contains("a defect of this rank"), "{}", errors[1]);
    for rank in [0, 2] {
        assert!(errors[rank].contains("rank 1 was lost"), "{}", errors[rank]);
    }
    let kept = "the last good snapshot is";
    assert!(errors[0].contains(kept) && errors[0].contains("step-000000008"));
    let rest = Plan {
        resume: Some(out.clone()),
        ..plan
    };
    together(2, |team| shared(&rest, team, |_| ()).unwrap());
    let plan = Plan::new(&alone, 14);
    run(&mut Walk::new(&plan), &plan.config(false)).unwrap();
    assert_eq!(weights(&out), weights(&alone));
}

#[test]
fn a_job_that_says_nothing_runs_alone() {
    let (_root, [out, _]) = folders();
    let plan = Plan::new(&out, 2);
    let config: RunConfig = plan.config(false);
    assert!(Walk::new(&plan).team().is_alone());
    assert_eq!(run(&mut Walk::new(&plan), &config).unwrap().clock.step, 2);
}
