//! The program that holds the kernels: compiled once, by whichever test comes first.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command},
    sync::OnceLock,
};

use domex_cuda::modules::{self, Module};

/// Compilers that are tried, in order.
pub const COMPILERS: [&str; 3] = ["c++", "g++", "clang++"];

/// The operators' kernels, those of candle's modules, and wrong ones: programs that compile side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    Operators,
    Tensors,
    /// `faults.cu`, which tests the shim.
    Faults,
}

/// The kernels of `faults.cu`.
const FAULTS: [&str; 7] = [
    "no_barrier",
    "some_barrier",
    "some_shuffle",
    "beyond_buffer",
    "beyond_shared",
    "overflow",
    "right",
];

impl Program {
    fn modules(self) -> impl Iterator<Item = Module> {
        let tensors = [
            Module::Affine,
            Module::Binary,
            Module::Cast,
            Module::Fill,
            Module::Indexing,
            Module::Reduce,
            Module::Ternary,
            Module::Unary,
        ];
        modules::ALL
            .iter()
            .copied()
            .filter(move |m| self != Self::Faults && tensors.contains(m) == (self == Self::Tensors))
    }

    /// The one that has this module.
    pub fn of(module: Module) -> Self {
        if Self::Tensors.modules().any(|m| m == module) {
            Self::Tensors
        } else {
            Self::Operators
        }
    }

    fn file(self) -> PathBuf {
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(match self {
            Self::Operators => "operators",
            Self::Tensors => "tensors",
            Self::Faults => "faults",
        })
    }

    fn source(self) -> String {
        let mut text = String::from("#include \"cuda_shim.h\"\n");
        let mut kernels: Vec<String> = self.modules().flat_map(Module::kernels).collect();
        for module in self.modules() {
            let folder = if self == Self::Tensors { "tensor/" } else { "" };
            writeln!(text, "#include \"{folder}{}.cu\"", module.name()).unwrap();
        }
        if self == Self::Faults {
            text += "#include \"faults.cu\"\n";
            kernels = FAULTS.map(str::to_owned).into();
        }
        text += "#include \"host.h\"\nstatic const Kernel KERNELS[] = {\n";
        for kernel in kernels {
            writeln!(text, "    KERNEL({kernel}),").unwrap();
        }
        text + "};\nint main() { serve(KERNELS, sizeof KERNELS / sizeof *KERNELS); }\n"
    }

    fn compile(self, compiler: &str) -> Child {
        let (program, here) = (self.file(), Path::new(env!("CARGO_MANIFEST_DIR")));
        let source = program.with_extension("cc");
        fs::write(&source, self.source()).unwrap();
        // -O0 for the many small kernels: compiling them costs more than running them.
        let optimised = if self == Self::Operators {
            "-O1"
        } else {
            "-O0"
        };
        Command::new(compiler)
            .args([
                "-std=c++17",
                optimised,
                "-g1",
                "-Wall",
                "-Wextra",
                "-Werror",
                "-Wno-unknown-pragmas",
            ])
            .args(["-fsanitize=address,undefined", "-fno-sanitize-recover=all"])
            .args(
                ["shim", "kernels", "kernels/tensor", "tests/host"]
                    .map(|dir| format!("-I{}", here.join(dir).display())),
            )
            .arg(&source)
            .arg("-o")
            .arg(&program)
            .spawn()
            .unwrap()
    }
}

/// The compiled program, or None where there is no compiler.
pub fn program(which: Program) -> Option<PathBuf> {
    static BUILT: OnceLock<bool> = OnceLock::new();
    let built = *BUILT.get_or_init(|| {
        let runs = |compiler: &&str| Command::new(compiler).arg("--version").output().is_ok_and(|o| o.status.success());
        let Some(compiler) = COMPILERS.iter().find(|c| runs(c)) else {
            assert!(
                std::env::var_os("CI").is_none(),
                "no C++ compiler to test the CUDA kernels with: tried {}; install g++",
                COMPILERS.join(", ")
            );
            eprintln!("skipped: no C++ compiler to test the CUDA kernels with; install g++ to run these tests");
            return false;
        };
        let children = [Program::Operators, Program::Tensors, Program::Faults].map(|which| (which, which.compile(compiler)));
        for (which, mut child) in children {
            assert!(child.wait().unwrap().success(), "{which:?} does not compile");
        }
        true
    });
    built.then(|| which.file())
}
