//! Every promise by name.

/// A test for each promise of each port. The expression makes an empty [`Backend`](crate::contract::Backend); it may await.
#[macro_export]
macro_rules! contract_tests {
    ($start:expr) => {
        $crate::contract_tests! { @suites $start;
            unit_of_work {
                ok_commits_and_err_rolls_back
                a_panic_rolls_back
                the_scope_decides_which_rows_are_there
                nobody_writes_into_another_tenant
            }
            audit {
                events_come_newest_first_a_page_at_a_time
                filters_narrow_and_add_up
                a_fact_with_a_key_is_published_once_and_relayed_once
            }
            tenants {
                a_tenant_is_read_back_as_it_was_written
                a_slug_belongs_to_one_tenant
                a_slug_that_was_given_up_is_held_for_ninety_days
                only_operators_list_tenants
            }
        }
    };
    (@suites $start:expr; $($suite:ident { $($promise:ident)* })*) => {
        $(mod $suite {
            #[allow(unused_imports, reason = "the expression may name what stands beside it")]
            use super::*;

            $(#[tokio::test]
            async fn $promise() {
                $crate::contract::$suite::$promise(&$start).await;
            })*
        })*
    };
}
