//! The two forms in which [`pickle::write`](crate::pickle::write()) calls a class: with keyword arguments, and with weights.

use std::sync::Arc;

use super::resolve::{Resolver, Result};
use crate::pickle::{Call, Node, Slot};
use crate::{Object, Value};

impl<'a> Resolver<'a> {
    /// `functools.partial(class, **kwargs)()`: an object with one dict as its arguments.
    pub fn keyword_call(&mut self, call: &'a Call, size: &mut u64) -> Result<Option<Value>> {
        let Some(partial) = self.graph.call(call.callable) else {
            return Ok(None);
        };
        if self.graph.global(partial.callable) != Some("functools.partial")
            || !self.graph.args(call).is_empty()
        {
            return Ok(None);
        }
        let state = partial.rest.as_ref().and_then(|rest| rest.state);
        let state = state.and_then(|slot| self.graph.items(slot));
        let Some(&[function, args, kwargs, _]) = state else {
            return Ok(None);
        };
        let (Some(class), Some([])) = (self.graph.global(function), self.graph.items(args)) else {
            return Ok(None);
        };
        let args = self.values(&[kwargs], size)?;
        self.module(class, args, Value::None).map(Some)
    }

    /// `operator.getitem((m, torch.nn.Module.load_state_dict(m, state)), 0)`: m with its state.
    pub fn loaded_module(&mut self, args: &[Slot], size: &mut u64) -> Result<Option<Value>> {
        let &[pair, Slot::Int(0)] = args else {
            return Ok(None);
        };
        let Some(Node::Tuple(pair)) = self.graph.node(pair) else {
            return Ok(None);
        };
        let &[made, loaded] = &**pair else {
            return Ok(None);
        };
        let Some(load) = self.graph.call(loaded) else {
            return Ok(None);
        };
        let name = self.graph.global(load.callable);
        let state = match *self.graph.args(load) {
            [of, state] if of == made => state,
            _ => return Ok(None),
        };
        if name != Some("torch.nn.Module.load_state_dict") {
            return Ok(None);
        }
        let Value::Object(object) = self.resolve(made, size)? else {
            return Ok(None);
        };
        let class = Arc::clone(&object.class);
        let state = self.resolve(state, size);
        let state = state.map_err(|problem| problem.within(&class))?;
        self.module(&class, Arc::clone(&object.args), state)
            .map(Some)
    }

    fn module(&mut self, class: &str, args: Arc<[Value]>, state: Value) -> Result<Value> {
        self.budget.memory(size_of::<Object>() + class.len() + 32)?;
        Ok(Value::Object(Arc::new(Object {
            class: class.into(),
            persistent: false,
            args,
            state,
            items: Arc::default(),
            entries: Arc::default(),
        })))
    }
}
