use super::*;

fn launch(variables: &[(&str, &str)]) -> Result<Option<Launch>> {
    Launch::from(&|name| {
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    })
}

fn expect(variables: &[(&str, &str)]) -> Launch {
    launch(variables).unwrap().unwrap()
}

#[track_caller]
fn refused(variables: &[(&str, &str)], texts: &[&str]) {
    let error = launch(variables).unwrap_err().to_string();
    for text in texts {
        assert!(error.contains(text), "{text:?} is not in: {error}");
    }
}

#[test]
fn a_process_that_nobody_launched_is_alone() {
    assert_eq!(launch(&[("MASTER_PORT", "1")]), Ok(None));
    assert_eq!(launch(&[("RANK", "0"), ("WORLD_SIZE", "1")]), Ok(None));
}

#[test]
fn variables_of_torchrun() {
    let found = expect(&[
        ("RANK", "5"),
        ("WORLD_SIZE", "8"),
        ("LOCAL_RANK", "1"),
        ("LOCAL_WORLD_SIZE", "4"),
        ("MASTER_ADDR", "node0"),
        ("MASTER_PORT", "1234"),
        ("TORCHELASTIC_RUN_ID", "mine"),
    ]);
    let numbers = (found.rank, found.size, found.local_rank, found.local_size);
    assert_eq!(numbers, (5, 8, 1, 4));
    assert_eq!((&*found.host, found.port), ("node0", 1234));
    assert_eq!(found.job, "mine");
}

#[test]
fn the_port_of_torchruns_own_store_is_left_to_it() {
    let found = expect(&[
        ("RANK", "0"),
        ("WORLD_SIZE", "2"),
        ("MASTER_PORT", "29400"),
        ("TORCHELASTIC_USE_AGENT_STORE", "True"),
    ]);
    assert_eq!(found.port, 29_401);
}

#[test]
fn variables_of_open_mpi_on_one_machine_need_no_address() {
    let at = |namespace: &str| {
        expect(&[
            ("OMPI_COMM_WORLD_RANK", "1"),
            ("OMPI_COMM_WORLD_SIZE", "2"),
            ("OMPI_COMM_WORLD_LOCAL_RANK", "1"),
            ("OMPI_COMM_WORLD_LOCAL_SIZE", "2"),
            ("PMIX_NAMESPACE", namespace),
            // Left over from the script that mpirun is in.
            ("SLURM_PROCID", "0"),
            ("SLURM_NTASKS", "64"),
        ])
    };
    let found = at("3921412097");
    assert_eq!((found.rank, found.size, &*found.host), (1, 2, LOCALHOST));
    assert!((20_000..32_000).contains(&found.port), "{}", found.port);
    assert_ne!(found.port, at("3921412098").port);
}

#[test]
fn mpi_on_several_machines_needs_an_address() {
    refused(
        &[
            ("OMPI_COMM_WORLD_RANK", "1"),
            ("OMPI_COMM_WORLD_SIZE", "4"),
            ("OMPI_COMM_WORLD_LOCAL_SIZE", "2"),
        ],
        &["MASTER_ADDR: found nothing", "machine of rank 0"],
    );
}

#[test]
fn variables_of_mpich() {
    let found = expect(&[("PMI_RANK", "2"), ("PMI_SIZE", "3")]);
    assert_eq!((found.rank, found.size, found.local_size), (2, 3, 3));
}

#[test]
fn variables_of_slurm() {
    let found = expect(&[
        ("SLURM_PROCID", "6"),
        ("SLURM_NTASKS", "7"),
        ("SLURM_LOCALID", "0"),
        ("SLURM_STEP_TASKS_PER_NODE", "2(x3),1"),
        ("SLURM_NODELIST", "gpu[007-009,12]-ib"),
        ("SLURM_LAUNCH_NODE_IPADDR", "10.0.0.1"),
        ("SLURM_JOB_ID", "41"),
        ("SLURM_STEP_ID", "3"),
    ]);
    assert_eq!((found.rank, found.size, found.local_size), (6, 7, 2));
    assert_eq!((&*found.host, &*found.job), ("gpu007-ib", "41.3"));
    assert_eq!(found.hint, "");
}

/// `srun --mpi=pmi2`, which may be a cluster's default.
#[test]
fn srun_with_pmi_2_is_slurm_and_mpich_within_slurm_is_mpich() {
    let of_slurm = [
        ("SLURM_PROCID", "3"),
        ("SLURM_NTASKS", "4"),
        ("SLURM_LOCALID", "1"),
        ("SLURM_STEP_TASKS_PER_NODE", "2(x2)"),
        ("SLURM_NODELIST", "node[1-2]"),
    ];
    let of_mpi = [("PMI_RANK", "3"), ("PMI_SIZE", "4")];
    let of_both = [of_slurm.as_slice(), &of_mpi].concat();
    let found = expect(&of_both);
    assert_eq!((found.rank, found.local_rank, found.local_size), (3, 1, 2));
    assert_eq!(found.host, "node1");
    let of_machine = [("MPI_LOCALRANKID", "0"), ("MPI_LOCALNRANKS", "4")];
    let found = expect(&[of_both.as_slice(), &of_machine].concat());
    assert_eq!((found.local_rank, &*found.host), (0, LOCALHOST));
}

#[test]
fn slurm_without_a_list_of_nodes_has_the_node_that_launched() {
    let found = expect(&[
        ("SLURM_PROCID", "0"),
        ("SLURM_NTASKS", "2"),
        ("SLURM_LAUNCH_NODE_IPADDR", "10.0.0.1"),
    ]);
    assert_eq!(found.host, "10.0.0.1");
    assert!(found.hint.contains("srun"));
}

#[test]
fn the_first_of_slurms_machines() {
    for (list, first) in [
        ("node1", "node1"),
        ("node1,node2", "node1"),
        ("a,b[1-2]", "a"),
        ("b[3,5-7],a", "b3"),
        ("c[01-02]x,d", "c01x"),
    ] {
        assert_eq!(first_host(list).as_deref(), Some(first), "{list}");
    }
    assert_eq!(first_host(""), None);
    assert_eq!(first_host("b[1"), None);
}

#[test]
fn half_of_the_variables_is_refused() {
    refused(
        &[("WORLD_SIZE", "2")],
        &["RANK: found nothing", "WORLD_SIZE is set"],
    );
    refused(
        &[("RANK", "0")],
        &["WORLD_SIZE: found nothing", "RANK is set"],
    );
    refused(
        &[("OMPI_COMM_WORLD_RANK", "0")],
        &["OMPI_COMM_WORLD_SIZE: found nothing"],
    );
    refused(&[(SLURM, "0")], &["SLURM_STEP_NUM_TASKS: found nothing"]);
}

#[test]
fn numbers_that_make_no_sense_are_refused() {
    let with = |rank, size| [("RANK", rank), ("WORLD_SIZE", size)];
    refused(&with("2", "2"), &["RANK: found 2", "below 2"]);
    refused(&with("one", "2"), &["RANK: found \"one\"", "a number"]);
    refused(&with("0", "0"), &["WORLD_SIZE: found 0"]);
    let [rank, size] = with("0", "2");
    let port = ("MASTER_PORT", "70000");
    refused(&[rank, size, port], &["MASTER_PORT: found \"70000\""]);
}
