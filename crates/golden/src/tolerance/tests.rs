use super::Tolerance;
use crate::{compare::Bound, kind::CaseKind};

#[test]
fn a_listed_file_keeps_its_own_numbers() {
    let t = Tolerance::of(CaseKind::Generator, "generator_resnet");
    assert_eq!(t.bound("out.img_const", 1e6), Bound::new(4e-5, 2e-5));
    assert_eq!(t.bound("grad.ws", 1e6), Bound::new(5e-4, 3e-5));
}

#[test]
fn an_unknown_file_is_held_to_the_relative_bound() {
    let t = Tolerance::of(CaseKind::Generator, "generator_64_seed5");
    assert_eq!(t.bound("out.img_const", 1.0), Bound::new(2e-4, 3e-5));
    assert_eq!(t.bound("out.img_const", 100.0), Bound::new(3e-3, 3e-5));
}

#[test]
fn named_tensors_come_before_the_rest() {
    let t = Tolerance::of(CaseKind::SefaBasis, "sefa_basis");
    assert_eq!(t.bound("out64.singular_values", 1.0), Bound::rel(1e-10));
    assert_eq!(t.bound("out64.abs_V", 1.0), Bound::abs(1e-8));
    assert_eq!(t.bound("out.abs_V", 1.0), Bound::abs(5e-4));
    assert_eq!(t.bound("out.base_latent_probe", 1.0), Bound::abs(1e-4));
    let t = Tolerance::of(CaseKind::Pooling, "pooling");
    assert_eq!(t.bound("out.k3s2_ties_6x6", 1.0), Bound::EXACT);
    assert_eq!(t.bound("grad.avg_k2s2_avg_6x6", 1.0), Bound::abs(1e-6));
}
