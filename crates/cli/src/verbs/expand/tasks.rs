//! The new domains: a file of tasks and what flags add to it.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use domex_data::{picture, source};
use domex_error::user_error;
use domex_expand::methods::{Kind, ListFiles, adversarial, diffusion, nada};
use domex_expand::{Dimensions, Error, ParametrisationKind, Recipe, TaskFile, TaskSpec};
use serde_json::json;

use super::{Expand, SettingArgs};
use crate::domains::check_name;

/// What stands between a domain's name and its pictures on the command line.
const SHOWN: &str = "=@";

/// The file of tasks, or an empty one, with the flags that were given, and below both what the model's recipe says; and what
/// was chosen that nobody asked for.
pub fn tasks(args: &Expand, recipe: &Recipe) -> domex_error::Result<(TaskFile, Vec<String>)> {
    let mut file = match &args.tasks {
        Some(path) => TaskFile::read(path, recipe)?,
        None => recipe.file().clone(),
    };
    // Files are named as the folder of the file of tasks sees them.
    let folder = match &args.tasks {
        Some(path) => std::path::absolute(path)?.parent().map(Path::to_owned),
        None => None,
    };
    let folder = Folder::new(folder.unwrap_or_default());
    for task in &mut file.tasks {
        task.kind()?.resolve(task, &folder)?;
    }
    name_source(&mut file, args)?;
    let mut notices = folder.notices.into_inner();
    for text in &args.domain {
        file.tasks.push(domain(text, args, &mut notices)?);
    }
    if file.tasks.is_empty() {
        return Err(user_error(
            "no domains: give --domain \"pencil sketch\" once or more, or --tasks FILE",
        ));
    }
    flags(&mut file, &args.settings);
    // A learning rate that nobody chose is one for weights.
    let config = &mut file.settings;
    if args.settings.lr.is_none() && config.lr == recipe.file().settings.lr {
        config.lr *= config.parametrisation.learning_rate_gain();
    }
    recipe.complete(&mut file)?;
    file.validate()?;
    for task in &file.tasks {
        let mend = "give it another: for pictures NAME=@PICTURES, for words name = \"...\" in a file of --tasks";
        check_name(&task.name(), mend)?;
    }
    Ok((file, notices))
}

/// Gives the text of the source domain to the tasks in words that have none. [`domain`] does so for those of flags.
fn name_source(file: &mut TaskFile, args: &Expand) -> domex_error::Result<()> {
    const KEY: &str = "source";
    let Some(source) = &args.source else {
        return Ok(());
    };
    let is_alone = |text: &String| !text.contains(SHOWN) && !text.contains("=>");
    let mut is_used = args.domain.iter().any(is_alone);
    for task in &mut file.tasks {
        let is_in_words =
            task.kind()?.keys().contains(&KEY) && !task.keys().contains_key("pictures");
        if is_in_words && !task.keys().contains_key(KEY) {
            task.set(KEY, json!(source));
            is_used = true;
        }
    }
    match is_used {
        true => Ok(()),
        false => Err(user_error(format!(
            "--source {source:?}: every domain has a source of its own or is said by pictures; leave it out"
        ))),
    }
}

/// "source=>target", "name=@pictures" or a target.
fn domain(text: &str, args: &Expand, notices: &mut Vec<String>) -> domex_error::Result<TaskSpec> {
    let by = |kind: &dyn Kind| args.inputs.method.as_deref() == Some(kind.name());
    let by_diffusion = by(&diffusion::Diffusion);
    let Some((name, list)) = text.split_once(SHOWN) else {
        if by(&adversarial::Adversarial) {
            return Err(user_error(format!(
                "--domain {text:?}: --method adversarial takes NAME=@FOLDER or NAME=@FILE.zip; leave it out for words"
            )));
        }
        let source = args.source.as_deref().unwrap_or("photo");
        let (source, target) = text.split_once("=>").unwrap_or((source, text));
        let (source, target) = (source.trim(), target.trim());
        return Ok(match by_diffusion {
            true => diffusion::texts(source, target),
            false => TaskSpec::texts(source, target),
        });
    };
    if by_diffusion {
        return Err(user_error(format!(
            "--domain {text:?}: --method diffusion takes domains in words; leave --method out for pictures"
        )));
    }
    let names = list.split(',').map(str::trim);
    let names: Vec<PathBuf> = names.filter(|n| !n.is_empty()).map(PathBuf::from).collect();
    if names.is_empty() || name.trim().is_empty() {
        return Err(user_error(format!(
            "--domain {text:?}: expected NAME=@PICTURE, with a comma between several, or NAME=@FOLDER"
        )));
    }
    let name = name.trim();
    let set = match &names[..] {
        [path] => many(path)?,
        _ => None,
    };
    match (&set, args.inputs.method.is_some()) {
        (_, true) if by(&adversarial::Adversarial) => {
            let [path] = &names[..] else {
                return Err(user_error(format!(
                    "--domain {text:?}: --method adversarial takes one folder or zip file; leave it out for a few pictures"
                )));
            };
            return Ok(adversarial::folder(name, &std::path::absolute(path)?));
        }
        (Some(what), false) => {
            notices.push(format!(
                "{name}: {what}, enough to learn from by a discriminator (method adversarial); --method nada learns the look of \
                 a few by CLIP"
            ));
            return Ok(adversarial::folder(name, &std::path::absolute(&names[0])?));
        }
        _ => {}
    }
    let folder = Folder::new(std::env::current_dir()?);
    let pictures = folder.pictures(&names)?;
    notices.extend(folder.notices.into_inner());
    Ok(nada::pictures(name, &pictures))
}

/// How many pictures are at `path`, if a discriminator should learn them: a zip file, or a folder of many.
fn many(path: &Path) -> domex_error::Result<Option<String>> {
    let ending = path.extension();
    let is_zip = ending.is_some_and(|ending| ending.eq_ignore_ascii_case("zip"));
    if !is_zip && !path.is_dir() {
        return Ok(None);
    }
    let count = source::count(path)?;
    // No other method reads a zip.
    let proposed = is_zip || count as u64 >= adversarial::FEWEST;
    Ok(proposed.then(|| format!("{count} pictures")))
}

/// A folder that paths are relative to.
struct Folder {
    path: PathBuf,
    /// What is to be said of the folders that were looked into.
    notices: RefCell<Vec<String>>,
}

impl Folder {
    fn new(path: PathBuf) -> Self {
        Self {
            path,
            notices: RefCell::default(),
        }
    }
}

impl ListFiles for Folder {
    fn absolute(&self, path: &Path) -> domex_expand::Result<PathBuf> {
        Ok(self.path.join(path))
    }

    /// For a folder the pictures in it and in its sub-folders, as in a data set.
    fn pictures(&self, paths: &[PathBuf]) -> domex_expand::Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for path in paths {
            let path = self.path.join(path);
            if !path.is_dir() {
                files.push(path);
                continue;
            }
            let found = source::pictures_below(&path)?;
            let passed_over = found.notices.join("; ");
            if found.pictures.is_empty() {
                let endings = picture::ENDINGS.join(", .");
                let mut problem =
                    format!("a folder without pictures; expected files that end in .{endings}");
                if !passed_over.is_empty() {
                    problem += &format!("; {passed_over}");
                }
                return Err(Error::File { path, problem });
            }
            if !passed_over.is_empty() {
                let notice = format!("{}: {passed_over}", path.display());
                self.notices.borrow_mut().push(notice);
            }
            files.extend(found.pictures);
        }
        Ok(files)
    }
}

fn flags(file: &mut TaskFile, args: &SettingArgs) {
    let config = &mut file.settings;
    set(&mut config.batch, args.batch);
    config.micro_batch = args.micro_batch.or(config.micro_batch);
    config.low_memory |= args.low_memory;
    config.half_losses |= args.half_losses;
    set(&mut config.lr, args.lr);
    set(&mut config.cooldown, args.cooldown);
    config.distance = args.distance.or(config.distance);
    set(&mut config.objective.expand, args.lambda_expand);
    set(&mut config.nada.weights.direction, args.lambda_direction);
    set(&mut config.nada.weights.global, args.lambda_global);
    set(&mut config.objective.alignment.lpips, args.lambda_lpips);
    set(&mut config.objective.alignment.l2, args.lambda_l2);
    for (key, value) in [("src", args.lambda_src), ("gamma", args.gamma)] {
        if let Some(value) = value {
            config.source.insert(key.to_owned(), json!(value));
        }
    }
    config.class = args.class.or(config.class);
    if let Some(phase) = &args.phase {
        config.source.insert("phase".to_owned(), json!(phase));
    }
    if args.scale_src {
        config.source.insert("scale_src".to_owned(), json!(true));
    }
    set(&mut config.ema.kimg, args.ema);
    let probed = args.dimensions.as_deref().map(|how| match how {
        "probed" => Dimensions::Probed,
        _ => Dimensions::Dormant,
    });
    set(&mut config.dimensions, probed);
    set(&mut config.reserve, args.reserve);
    let kinds = ParametrisationKind::ALL.into_iter();
    let wanted = args.parametrisation.as_deref();
    let wanted = wanted.and_then(|name| kinds.clone().find(|kind| kind.name() == name));
    set(&mut config.parametrisation, wanted);
    set(&mut config.styledomain.rank, args.rank);
    config.styledomain.block = args.block.or(config.styledomain.block);
    set(&mut config.styledomain.top, args.top);
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}
