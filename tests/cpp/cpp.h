/* SPDX-License-Identifier: MIT */
/*
 * The tests of pipc.hpp are functions in C++ (test_cpp.cpp), which run.c hands to the harness, a
 * program in C. The list of both, and how a test in C++ fails.
 */
#ifndef PIPC_TESTS_CPP_H
#define PIPC_TESTS_CPP_H

/* clang-format off */
#define CPP_TESTS(IT) \
    IT(a_message_arrives_as_it_was_written_on_each_kind) \
    IT(a_handle_that_was_moved_from_is_empty) \
    IT(a_handle_that_is_assigned_to_closes_what_it_had) \
    IT(an_error_is_thrown_with_its_errno) \
    IT(with_a_code_nothing_is_thrown) \
    IT(a_code_is_cleared_by_success) \
    IT(a_goodbye_ends_read_and_is_a_message_for_read_msg) \
    IT(messages_free_themselves_also_in_an_array_that_is_used_again) \
    IT(pieces_and_batches_are_arrays_of_bytes) \
    IT(bytes_of_a_literal_have_no_zero_at_the_end) \
    IT(options_reach_the_library) \
    IT(descriptors_come_with_their_message) \
    IT(a_detached_pipe_is_empty_and_its_descriptors_go_on) \
    IT(a_server_knows_its_clients_and_their_key) \
    IT(two_threads_have_a_handle_each_of_one_pipe) \
    IT(a_cancelled_thread_unwinds_through_a_read)
/* clang-format on */

#ifdef __cplusplus
extern "C" {
#endif

#define CPP_DECLARE(name) void name(void);
CPP_TESTS(CPP_DECLARE)

void cpp_fail(const char *what, const char *file, int line);
void cpp_skip_if_cancelling_confuses(void);

#ifdef __cplusplus
}
#endif

#endif
