/* SPDX-License-Identifier: MIT */
/* pipc_strerror. check_errors.sh looks whether the manual names an errno without a sentence. */
#include <errno.h>
#include <string.h>

#include "harness.h"

enum { ERRORS = 200 };

TEST(every_errno_has_one_sentence_that_stays)
{
    for (int error = -1; error < ERRORS; error++) {
        const char *text = pipc_strerror(error);
        assert_non_null(text);
        assert_in_range(strlen(text), 5, 80);
        assert_null(strpbrk(text, "\n\t%"));
        assert_ptr_equal(pipc_strerror(error), text);
    }
}

TEST(sentences_differ_but_for_those_of_the_system)
{
    const char *other = pipc_strerror(-1);
    int own = 0;
    for (int error = 0; error < ERRORS; error++) {
        const char *text = pipc_strerror(error);
        if (text == other)
            continue;
        own++;
        for (int before = 0; before < error; before++)
            assert_string_not_equal(text, pipc_strerror(before));
    }
    assert_true(own > 30);
    assert_ptr_equal(pipc_strerror(ERRORS * 100), other);
}

TEST(a_sentence_says_what_the_library_means)
{
    errno = EXDEV;
    assert_string_equal(pipc_strerror(ESHUTDOWN), "the peer said goodbye");
    assert_string_equal(pipc_strerror(0), "no error");
    assert_non_null(strstr(pipc_strerror(EPIPE), "peer"));
    assert_ptr_equal(pipc_strerror(EWOULDBLOCK), pipc_strerror(EAGAIN));
    assert_int_equal(errno, EXDEV);
}

TEST(the_number_of_the_version_can_be_compared)
{
#if PIPC_VERSION_NUMBER < PIPC_VERSION_MINOR * 1000
#error "the preprocessor cannot use it"
#endif
    assert_int_equal(PIPC_VERSION_NUMBER / 1000000, PIPC_VERSION_MAJOR);
    assert_int_equal(PIPC_VERSION_NUMBER / 1000 % 1000, PIPC_VERSION_MINOR);
    assert_int_equal(PIPC_VERSION_NUMBER % 1000, PIPC_VERSION_PATCH);
}

HARNESS_MAIN("strerror", IT(every_errno_has_one_sentence_that_stays),
             IT(sentences_differ_but_for_those_of_the_system),
             IT(a_sentence_says_what_the_library_means),
             IT(the_number_of_the_version_can_be_compared))
