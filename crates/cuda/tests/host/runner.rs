//! Plans on the host: each launch goes to the program with the kernels, and the buffers come back.

use std::{
    io::{Read, Write},
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio},
};

use domex_cuda::{Arg, Element, Launch, Plan, modules::Module};
use half::{bf16, f16};

use crate::build::{self, Program};

/// A running program with kernels.
pub struct Host {
    child: Child,
    to: ChildStdin,
    from: ChildStdout,
    /// What the sanitizers say.
    complaints: ChildStderr,
}

/// An argument of a launch, as the program takes it.
#[derive(Clone, Copy)]
pub enum Raw {
    Buffer(usize),
    Bytes([u8; 8]),
}

impl Host {
    /// None where there is no compiler.
    pub fn start(which: Program) -> Option<Self> {
        let mut child = Command::new(build::program(which)?)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Fibres leave their stacks without unwinding; what the tests allocate is freed.
            .env(
                "ASAN_OPTIONS",
                "detect_stack_use_after_return=0:detect_leaks=0",
            )
            .spawn()
            .unwrap();
        let (to, from) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let complaints = child.stderr.take().unwrap();
        Some(Self {
            child,
            to,
            from,
            complaints,
        })
    }

    /// One launch, which must come to its end. `falling`: the threads of a block run in falling order.
    pub fn launch(
        &mut self,
        kernel: &str,
        shape: [[u32; 3]; 2],
        falling: bool,
        buffers: &mut [Vec<u8>],
        args: &[Raw],
    ) {
        if self
            .try_launch(kernel, shape, falling, buffers, args)
            .is_err()
        {
            let mut said = String::new();
            let _ = self.complaints.read_to_string(&mut said);
            panic!("{kernel} stopped: {said}");
        }
    }

    /// One launch over a grid of blocks, of so many threads and bytes of shared memory. An error where the program stopped.
    pub fn try_launch(
        &mut self,
        kernel: &str,
        [grid, block]: [[u32; 3]; 2],
        falling: bool,
        buffers: &mut [Vec<u8>],
        args: &[Raw],
    ) -> std::io::Result<()> {
        let mut request = Vec::new();
        request.extend((kernel.len() as u32).to_le_bytes());
        request.extend(kernel.as_bytes());
        for v in grid
            .into_iter()
            .chain([block[0], block[1], u32::from(falling)])
        {
            request.extend(v.to_le_bytes());
        }
        request.extend((buffers.len() as u32).to_le_bytes());
        for buffer in buffers.iter() {
            request.extend((buffer.len() as u64).to_le_bytes());
            request.extend(buffer);
        }
        request.extend((args.len() as u32).to_le_bytes());
        for arg in args {
            let (is_buffer, payload) = match *arg {
                Raw::Buffer(number) => (1u32, (number as u64).to_le_bytes()),
                Raw::Bytes(bytes) => (0, bytes),
            };
            request.extend(is_buffer.to_le_bytes());
            request.extend(payload);
        }
        self.to.write_all(&request)?;
        self.to.flush()?;
        buffers
            .iter_mut()
            .try_for_each(|buffer| self.from.read_exact(buffer))
    }

    fn run_launch(&mut self, launch: &Launch, falling: bool, buffers: &mut [Vec<u8>]) {
        let eight = |bytes: &[u8]| {
            let mut all = [0; 8];
            all[..bytes.len()].copy_from_slice(bytes);
            Raw::Bytes(all)
        };
        let args: Vec<Raw> = launch
            .args
            .iter()
            .map(|arg| match *arg {
                Arg::Buffer(buffer) => Raw::Buffer(buffer.0),
                Arg::Null => Raw::Bytes([0; 8]),
                Arg::Int(v) => eight(&v.to_le_bytes()),
                Arg::Long(v) => eight(&v.to_le_bytes()),
                Arg::Float(v) => eight(&v.to_le_bytes()),
            })
            .collect();
        assert!(
            launch.module.kernels().iter().any(|k| k == launch.kernel),
            "{} is not listed",
            launch.kernel
        );
        let block = [launch.threads, launch.shared, 0];
        self.launch(launch.kernel, [launch.grid, block], falling, buffers, &args);
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs `plan` on these operands, in rising and in falling order of the threads, and returns what they hold then: None where there is
/// no compiler. Results that depend on the order are a missing barrier.
#[must_use]
pub fn run(plan: &Plan, operands: &[Vec<u8>]) -> Option<Vec<Vec<u8>>> {
    assert_eq!(plan.operands, operands.len(), "operands of {plan:?}");
    let module: Module = plan.launches[0].module;
    let mut host = Host::start(Program::of(module))?;
    let [rising, falling] = [false, true].map(|falling| {
        let mut buffers = operands.to_vec();
        // What nobody has written is NaN for every float type.
        buffers.extend(plan.scratch.iter().map(|&bytes| vec![0xff; bytes]));
        for launch in &plan.launches {
            host.run_launch(launch, falling, &mut buffers);
        }
        buffers.truncate(plan.operands);
        buffers
    });
    assert!(
        rising == falling,
        "the order of the threads shows in {plan:?}"
    );
    Some(rising)
}

/// The same with floats, of which `outputs` are compared by the caller: those operands come as NaN, so that every element must be
/// written.
#[must_use]
pub fn floats(
    plan: &Plan,
    operands: &[&[f32]],
    outputs: &[(usize, usize)],
) -> Option<Vec<Vec<f32>>> {
    alike(plan, operands, outputs, Element::F32)
}

/// The same with operands that are all of this element.
#[must_use]
pub fn alike(
    plan: &Plan,
    operands: &[&[f32]],
    outputs: &[(usize, usize)],
    element: Element,
) -> Option<Vec<Vec<f32>>> {
    let mut all: Vec<Vec<u8>> = Vec::new();
    let mut inputs = operands.iter();
    for i in 0..plan.operands {
        all.push(match outputs.iter().find(|(at, _)| *at == i) {
            Some(&(_, len)) => vec![0xff; element.bytes() * len],
            None => packed(inputs.next().unwrap(), element),
        });
    }
    assert!(inputs.next().is_none(), "more inputs than the plan takes");
    let after = run(plan, &all)?;
    let output = |&(at, _): &(usize, usize)| unpacked(&after[at], element);
    Some(outputs.iter().map(output).collect())
}

/// The same with operands of these elements, and one result: its number, its length, its element.
#[must_use]
pub fn elements(
    plan: &Plan,
    operands: &[(&[f32], Element)],
    (at, len, element): (usize, usize, Element),
) -> Option<Vec<f32>> {
    let operands = operands.iter();
    let mut all: Vec<Vec<u8>> = operands.map(|(values, of)| packed(values, *of)).collect();
    all.insert(at, vec![0xff; element.bytes() * len]);
    Some(unpacked(&run(plan, &all)?[at], element))
}

/// Memory of this element, rounded from floats.
pub fn packed(values: &[f32], element: Element) -> Vec<u8> {
    let values = values.iter();
    match element {
        Element::F32 => values.flat_map(|v| v.to_le_bytes()).collect(),
        Element::F16 => values
            .flat_map(|&v| f16::from_f32(v).to_le_bytes())
            .collect(),
        Element::Bf16 => values
            .flat_map(|&v| bf16::from_f32(v).to_le_bytes())
            .collect(),
    }
}

/// And back.
pub fn unpacked(bytes: &[u8], element: Element) -> Vec<f32> {
    let halves = || bytes.as_chunks::<2>().0.iter().copied();
    match element {
        Element::F32 => from_bytes(bytes),
        Element::F16 => halves().map(|b| f16::from_le_bytes(b).to_f32()).collect(),
        Element::Bf16 => halves().map(|b| bf16::from_le_bytes(b).to_f32()).collect(),
    }
}

/// What is left of `values` in memory of this kind.
#[must_use]
pub fn rounded(values: &[f32], element: Element) -> Vec<f32> {
    unpacked(&packed(values, element), element)
}

pub fn bytes(values: &[f32]) -> Vec<u8> {
    packed(values, Element::F32)
}

pub fn from_bytes(bytes: &[u8]) -> Vec<f32> {
    bytes
        .as_chunks::<4>()
        .0
        .iter()
        .map(|b| f32::from_le_bytes(*b))
        .collect()
}
