//! What can be wrong with the sizes handed to a kernel.

/// A shape or a slice that a kernel cannot work on. Raised before anything is allocated or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A size, stride or factor that must be at least one is zero.
    #[error("{operator}: `{name}` is 0 in {shape}; it must be at least 1")]
    Zero {
        /// The operator that refused.
        operator: &'static str,
        /// The field at fault.
        name: &'static str,
        /// The whole shape as given.
        shape: String,
    },
    /// The number of elements of an operand does not fit the address space.
    #[error("{operator}: the element count of `{name}` overflows in {shape}; use smaller sizes")]
    Overflow {
        /// The operator that refused.
        operator: &'static str,
        /// The operand at fault.
        name: &'static str,
        /// The whole shape as given.
        shape: String,
    },
    /// The window (kernel or filter) does not fit into the padded input.
    #[error(
        "{operator}: the window is larger than the padded input in {shape}; pad more or use a smaller window"
    )]
    Window {
        /// The operator that refused.
        operator: &'static str,
        /// The whole shape as given.
        shape: String,
    },
    /// A slice has another length than the shape asks for.
    #[error("{operator}: `{name}` has {found} elements, {shape} needs {expected}")]
    Length {
        /// The operator that refused.
        operator: &'static str,
        /// The slice at fault.
        name: &'static str,
        /// The whole shape as given.
        shape: String,
        /// Elements that the shape asks for.
        expected: usize,
        /// Elements found.
        found: usize,
    },
    /// Packed weights were used for another convolution than they were packed for.
    #[error(
        "convolution with packed weights: {shape} does not fit the packed (c_out, c_in, kh, kw, stride, padding) {packed:?}"
    )]
    Packed {
        /// The whole shape as given.
        shape: String,
        /// What the weights were packed for.
        packed: [usize; 6],
    },
}

/// The result of a kernel: nothing, or the reason why it did not run.
pub type Result<T> = std::result::Result<T, Error>;

/// What the checks of one call share: the operator's name and the shape for the message.
pub(crate) struct Check<'a> {
    pub operator: &'static str,
    pub shape: &'a dyn std::fmt::Debug,
}

impl Check<'_> {
    fn text(&self) -> String {
        format!("{:?}", self.shape)
    }

    pub fn non_zero(&self, fields: &[(&'static str, usize)]) -> Result<()> {
        match fields.iter().find(|(_, value)| *value == 0) {
            None => Ok(()),
            Some((name, _)) => Err(Error::Zero {
                operator: self.operator,
                name,
                shape: self.text(),
            }),
        }
    }

    /// The product of `sizes`. It may not pass `isize::MAX` bytes of f64, so that every byte offset
    /// into the operand fits an `isize`, as pointer arithmetic asks for.
    pub fn count(&self, name: &'static str, sizes: &[usize]) -> Result<usize> {
        let limit = isize::MAX as usize / size_of::<f64>();
        sizes
            .iter()
            .try_fold(1usize, |all, &size| {
                all.checked_mul(size).filter(|&all| all <= limit)
            })
            .ok_or_else(|| self.overflow(name))
    }

    pub fn overflow(&self, name: &'static str) -> Error {
        Error::Overflow {
            operator: self.operator,
            name,
            shape: self.text(),
        }
    }

    pub fn window(&self) -> Error {
        Error::Window {
            operator: self.operator,
            shape: self.text(),
        }
    }

    pub fn length(&self, name: &'static str, found: usize, expected: usize) -> Result<()> {
        if found == expected {
            return Ok(());
        }
        Err(Error::Length {
            operator: self.operator,
            name,
            shape: self.text(),
            expected,
            found,
        })
    }
}
