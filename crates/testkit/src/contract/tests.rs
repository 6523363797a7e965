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
            members {
                a_member_is_read_back_with_their_name_and_roles
                members_come_by_id_a_page_at_a_time
                a_removed_member_is_gone_until_they_join_again
                a_person_sees_their_own_memberships
                owners_are_counted
                a_tenant_in_use_keeps_an_owner
                owners_who_leave_at_once_take_turns
                a_membership_is_of_a_person_in_a_tenant
                members_of_another_tenant_are_out_of_reach
            }
            roles {
                the_permission_catalogue_comes_by_code
                system_roles_are_everywhere
                a_custom_role_is_its_tenants_own
                a_membership_allows_what_its_roles_allow
            }
            invitations {
                an_invitation_is_read_back_as_it_was_written
                invitations_come_newest_first_a_page_at_a_time
                an_address_has_one_pending_invitation
                seats_are_members_and_open_invitations
                seats_are_taken_one_after_another
                an_invitation_that_is_over_makes_room
                the_tenant_of_an_invitation_is_found_from_anywhere
                invitations_of_another_tenant_are_out_of_reach
            }
            projects {
                a_project_is_read_back_as_it_was_written
                a_slug_is_one_projects_in_its_tenant
                a_tenant_has_one_default_project
                projects_come_by_id_a_page_at_a_time
                open_projects_count_against_the_plan
                projects_are_made_one_after_another
                environments_come_by_name
                projects_of_another_tenant_are_out_of_reach
            }
            keys {
                a_key_is_read_back_as_it_was_written
                a_name_is_one_usable_keys
                a_public_name_is_one_keys
                a_key_points_at_its_own_tenant_alone
                keys_come_newest_first_a_page_at_a_time
                keys_of_a_leaver_are_found
                those_who_lock_a_key_take_turns
                an_environment_is_found_by_id_or_by_name
                keys_of_another_tenant_are_out_of_reach
            }
            key_records {
                a_key_is_found_before_its_tenant_is_known
                many_keys_are_found_at_once
                a_key_comes_with_its_creator_as_they_stand_now
                a_key_is_signed_anew
                the_time_of_use_never_goes_back
            }
            users {
                a_user_is_read_back_as_they_were_written
                an_address_belongs_to_one_person
                a_person_sees_themselves_and_their_fellows
                a_credential_is_found_before_anybody_is_known
                an_identity_belongs_to_one_person
                nobody_writes_for_another_person
                the_last_tenant_is_remembered
            }
            sessions {
                a_session_is_found_before_anybody_is_known
                a_turn_is_taken_with_the_current_digest
                of_several_turns_at_once_one_is_taken
                a_session_ends_once
                sessions_of_another_person_are_out_of_reach
            }
            access {
                a_person_is_found_by_id_or_by_name
                a_session_that_is_named_must_be_live
                roles_add_up_to_what_a_person_may_do
                a_named_tenant_is_the_only_one
                without_a_name_the_nearest_tenant_is_taken
                an_organisation_chooses_among_the_persons_own
            }
            meters {
                sixteen_meters_are_there_from_the_start
                a_meter_is_read_back_as_it_was_written
                a_key_names_one_meter_of_a_tenant
                a_tenants_own_meter_hides_the_one_from_the_start
                meters_come_by_key_a_page_at_a_time
            }
            meter_versions {
                a_changed_meter_is_the_next_version_of_itself
                versions_come_newest_first_a_page_at_a_time
                every_version_counts_as_a_declaration
                a_meter_is_changed_by_its_tenant_alone
                of_two_who_change_a_meter_at_once_one_is_told
                events_keep_what_the_version_of_their_time_made_of_them
            }
            usage_events {
                an_event_is_written_once_and_its_copies_are_told
                a_key_is_kept_for_thirty_five_days
                an_event_of_a_failed_command_was_never_there
                copies_that_are_written_at_once_meet
                a_batch_opens_with_the_clock_and_what_is_there
                events_of_another_tenant_are_neither_written_nor_seen
            }
            usage_groups {
                a_group_is_answered_request_by_request
                a_group_that_fails_has_written_nothing
                groups_with_the_same_events_count_each_once
            }
            imports {
                a_page_is_taken_and_the_import_moves_behind_it
                a_page_that_does_not_follow_is_refused
                imports_that_race_take_each_page_once
                a_page_that_fails_has_moved_nothing
                an_import_is_seen_by_itself_alone
                what_was_imported_is_counted_from_the_events
                a_tenant_is_found_by_id_and_by_slug
                checking_a_page_writes_nothing
                an_import_is_finished_where_it_stands
            }
            usage_reads {
                answers_equal_those_of_an_oracle_at_any_moment
                a_rollup_changes_no_answer
                a_read_is_exact_while_events_move
                a_page_goes_on_behind_any_place
                different_values_are_counted_wherever_they_stand
                the_zone_is_the_tenants
            }
            usage_raw {
                an_event_is_read_back_as_it_was_sent
                pages_hold_every_event_once_at_any_moment
                a_dense_quarter_is_paged_too
                pages_are_stable_while_events_come_in
                events_of_another_tenant_are_not_there
                what_is_young_is_kept
            }
            rollups {
                a_step_says_which_buckets_it_touched
                a_step_never_parts_a_transaction
                a_failed_step_has_moved_nothing
                what_is_committed_is_rolled_up_once
                the_latest_is_the_latest_to_happen
                room_is_made_ahead_once
                times_are_noted_once
            }
            usage_calendar {
                days_are_found_by_what_they_have_a_part_of
                a_tenant_that_moves_keeps_its_days
            }
            usage_days {
                days_are_due_once_they_have_ended
                a_day_is_held_as_it_was_due
                each_close_replaces_the_one_before
                a_day_is_reconciled_exactly
                a_late_event_opens_its_day_again
                workers_close_each_day_once
            }
            plans {
                the_default_catalogue_is_on_sale_from_the_start
                another_catalogue_takes_the_place_of_the_first
                a_published_version_never_changes
                a_plan_is_ordered_by_its_code_or_an_alias
                a_version_that_was_never_published_is_a_defect
            }
            subscriptions {
                a_subscription_is_read_back_as_it_was_written
                a_tenant_has_one_live_subscription
                the_tenant_carries_the_code_of_its_plan
                a_subscription_names_what_is_there
                a_change_of_plan_names_what_is_there
                the_history_of_plans_is_in_order_of_time
                subscriptions_of_another_tenant_are_not_there
                a_tenant_lives_in_its_zone
                callers_that_lock_a_tenant_take_turns
            }
            entitlements {
                a_plan_grants_what_it_says
                the_plan_in_force_depends_on_the_instant
                what_grants_depends_on_the_status
                overrides_are_told_beside_the_plan
                a_gauge_counts_the_things_of_its_kind
                open_reservations_hold_until_they_expire
                what_was_settled_counts_in_its_period
                members_and_open_invitations_are_counted
                open_projects_but_the_default_one_are_counted
                a_watermark_gives_the_same_quantity_for_ever
                a_month_is_that_of_its_zone
                what_was_not_measured_counts_nothing
            }
            reservations {
                a_reservation_is_read_back_as_it_was_written
                a_reservation_holds_something_for_somebody
                reservations_of_another_tenant_are_not_there
                one_of_several_finishes_a_reservation
                reservations_come_newest_first_a_page_at_a_time
            }
            standings {
                a_standing_is_what_the_other_questions_answer
                a_standing_is_of_a_tenant_in_scope
                a_standing_is_of_the_version_in_force
                a_quota_counts_what_came_since
                a_quota_counts_what_was_settled
                what_was_settled_comes_with_what_is_held
            }
            overrides {
                an_override_is_read_back_as_it_was_written
                an_override_takes_the_place_of_the_one_before
                persons_need_a_role_over_the_deployment
                overrides_of_another_tenant_are_not_there
            }
            thresholds {
                a_threshold_is_new_once
                a_threshold_goes_with_its_transaction
                one_of_several_reaches_a_threshold
                old_thresholds_are_forgotten
                a_grace_is_remembered_until_it_ends
                metered_use_is_found_until_the_mark_moves
                a_backlog_is_looked_at_step_by_step
            }
            resources {
                a_thing_is_there_until_it_is_removed
                things_are_listed_by_the_bytes_of_their_names
                things_of_another_tenant_are_not_there
            }
            invoices {
                an_invoice_and_its_lines_are_read_back
                invoices_come_newest_first
                invoices_of_another_tenant_are_not_there
            }
            limits {
                takers_never_get_one_too_many
                things_and_reservations_share_a_limit
                what_is_held_comes_back
                each_tenant_has_its_own_limit
            }
            enforcement {
                a_soft_limit_lets_through_and_tells
                grace_reaches_so_far
                grace_lasts_from_the_first_crossing
                an_override_counts_until_it_expires
                a_quota_starts_anew_with_its_period
                thresholds_are_told_once_by_takers
                overrides_leave_a_trace
                what_is_not_counted_is_not_taken
                a_seat_and_a_project_are_told_as_well
            }
            quota_watch {
                thresholds_of_metered_use_are_told_once_by_watchers
                a_tenant_that_cannot_be_looked_at_holds_up_nobody
            }
            queue {
                a_job_is_claimed_as_it_was_queued
                due_jobs_come_by_priority_and_then_longest_due
                a_claim_takes_no_more_than_it_asks_for
                claimers_share_the_jobs_and_none_gets_one_twice
                a_job_is_queued_with_its_transaction
                a_job_with_a_key_waits_once
                a_key_is_free_when_its_job_is_over
                a_failed_job_is_tried_again_or_dead
                after_a_lease_has_passed_only_the_next_holder_is_believed
                a_late_holder_is_believed_until_the_job_is_put_back
                the_last_try_is_the_last
                a_released_job_is_as_if_untried
                work_that_settles_its_own_job_counts_once_or_not_at_all
                one_word_of_a_batch_that_does_not_count_spoils_no_other
                what_waits_is_seen_at_a_glance
                schedules_are_seen_at_a_glance
                a_request_queues_for_its_own_tenant_or_the_deployment
                a_broken_job_is_refused
            }
            schedules {
                a_schedule_is_declared_once
                schedules_are_due_from_their_instant_on
                one_of_several_workers_fires_a_schedule
                one_of_several_workers_holds_an_inline_schedule
                a_schedule_goes_to_the_next_when_its_holder_is_gone
                a_disabled_schedule_is_nobodys
                a_broken_schedule_is_refused
            }
            idempotency {
                a_key_is_reserved_once_by_its_principal
                one_of_several_requests_is_the_first
                a_key_is_kept_for_its_retention
                an_answer_is_kept_as_it_was_given
                one_of_several_takes_a_key_over
                a_released_key_is_free
                keys_of_another_principal_are_not_there
                a_commit_marks_its_key
                whoever_lost_the_lease_does_not_commit
            }
            upkeep {
                expired_invitations_are_found
                ended_trials_are_found
                long_frozen_tenants_are_found
                due_plan_changes_are_written_down
                old_idempotency_keys_are_deleted
                sessions_that_are_over_are_deleted
                reservations_that_are_over_are_deleted
                finished_jobs_are_deleted
                relayed_facts_are_deleted
                partitions_are_made_once
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
