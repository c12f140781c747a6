//! Settings of OpenShift, and how far it is followed.

use super::*;

#[test]
fn openshifts_image_policy_config_is_taken_as_it_is() {
    let text = "[compat.imagePolicyConfig]\nMaxScheduledImageImportsPerMinute = 10\n\
                ScheduledImageImportMinimumIntervalSeconds = 1800\ndisableScheduledImport = true\n\
                maxImagesBulkImportedPerRepository = 3\n";
    let config = load_text(text, &[], &[]).unwrap();
    assert_eq!(config.policy.import_interval, Duration::from_secs(1800));
    assert!(!config.policy.scheduled_imports);
    assert_eq!(config.policy.tag_limit.tags(), 3);
    assert_eq!(config.policy.scheduled_per_minute.map(u32::from), Some(10));
    assert_eq!(config.warnings, Vec::<String>::new());
    let unlimited = "[compat.imagePolicyConfig]\nmaxScheduledImageImportsPerMinute = -1\n";
    assert_eq!(load_text(unlimited, &[], &[]).unwrap().policy.scheduled_per_minute, None);
    // A key of ours wins, wherever it stands; 0 is OpenShift's word for the default.
    let text = "[compat.imagePolicyConfig]\nmaxImagesBulkImportedPerRepository = 0\n\
                scheduledImageImportMinimumIntervalSeconds = 1800\n[imports]\ninterval = \"7m\"\n";
    let config = load_text(text, &[], &[]).unwrap();
    assert_eq!(config.policy.import_interval, Duration::from_secs(420));
    assert_eq!(config.policy.tag_limit.tags(), 50);
    let wrong = "[compat.imagePolicyConfig]\nmaxImages = 3\ndisableScheduledImport = \"no\"\n\
                 scheduledImageImportMinimumIntervalSeconds = 5\n";
    let errors = load_text(wrong, &[], &[]).unwrap_err().to_string();
    for part in ["is no key of OpenShift's", "expected true or false", "`5s` is too short"] {
        assert!(errors.contains(part), "{errors}");
    }
}

#[test]
fn triggers_may_lead_into_other_namespaces_unless_a_list_says_which() {
    let read = |text: &str| {
        let text = format!("[triggers]\ncross_namespace = {text}\n");
        load_text(&text, &[], &[]).map(|config| config.policy.cross_namespace)
    };
    assert_eq!(read("\"allow\"").unwrap(), CrossNamespace::Allow);
    assert_eq!(read("[]").unwrap(), CrossNamespace::From([].into()));
    assert!(read("\"deny\"").unwrap_err().contains("expected `allow` or a list of namespaces"));
    assert!(read("[\"Shop\"]").unwrap_err().contains("Shop"));
    let variable = [("TIDEGATE_TRIGGERS__CROSS_NAMESPACE", "a,b")];
    let CrossNamespace::From(open) = load_text("", &variable, &[]).unwrap().policy.cross_namespace
    else {
        panic!("not a list")
    };
    assert_eq!(open.len(), 2);
}

#[test]
fn strict_openshift_is_a_flag_too() {
    let folder = folder("");
    let environment = Environment { variables: [].into(), work_folder: folder.path().to_owned() };
    let strict = |arguments: &DecidingArguments| {
        load_with(&arguments.flags(None), &environment).unwrap().policy.strict_openshift
    };
    assert!(!strict(&DecidingArguments::default()));
    let arguments = DecidingArguments { strict_openshift: true, ..DecidingArguments::default() };
    assert!(strict(&arguments));
}
