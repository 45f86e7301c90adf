/* Equations: terms, "...", spaces, results that are given or follow, and what is refused. */
#include "ops/matmul/einsum_equation.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static norma_status read(const char *text, int operands, einsum_equation *equation) {
  attribute given = {.name = "equation", .kind = ATTRIBUTE_STRING, .s = {text, strlen(text)}};
  const node node = {
      .op_type = "Einsum", .name = "", .attributes = &given, .attribute_count = 1, .input_count = operands};
  return einsum_read_equation(&node, equation, NULL);
}

/* "b" is 27, "..2" the third dimension of "..." from the end. */
static void expect(const einsum_term *term, const char *letters) {
  int count = 0;
  for (const char *c = letters; *c; c++, count++) {
    const int label = *c >= '0' && *c <= '9' ? EINSUM_ELLIPSIS + *c - '0' : *c >= 'a' ? *c - 'a' + 26 : *c - 'A';
    assert_true(count < term->count);
    assert_int_equal(term->labels[count], label);
  }
  assert_int_equal(term->count, count);
}

static void terms_and_results(void **state) {
  (void)state;
  static const struct {
    const char *text;
    int operands, ranks[3], ellipsis;
    const char *terms[3], *result;
  } cases[] = {
      {"ij,jk->ik", 2, {2, 2}, 0, {"ij", "jk"}, "ik"},
      {" i j , j k -> i k ", 2, {2, 2}, 0, {"ij", "jk"}, "ik"},
      {"ij,jk", 2, {2, 2}, 0, {"ij", "jk"}, "ik"},
      {"bA,Ac", 2, {2, 2}, 0, {"bA", "Ac"}, "bc"},
      {"aB", 1, {2}, 0, {"aB"}, "Ba"},
      {"ii", 1, {2}, 0, {"ii"}, ""},
      {"ii->i", 1, {2}, 0, {"ii"}, "i"},
      {"i->", 1, {1}, 0, {"i"}, ""},
      {"", 1, {0}, 0, {""}, ""},
      {",i->i", 2, {0, 1}, 0, {"", "i"}, "i"},
      {"i,->i", 2, {1, 0}, 0, {"i", ""}, "i"},
      {"...ij,...jk->...ik", 2, {4, 3}, 2, {"10ij", "0jk"}, "10ik"},
      {"i...j->j...", 1, {5}, 3, {"i210j"}, "j210"},
      {"...i,...i", 2, {2, 3}, 2, {"0i", "10i"}, "10"},
      {"...", 1, {0}, 0, {""}, ""},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    einsum_equation equation;
    einsum_term term;
    size_t cursor = 0;
    int ellipsis;
    assert_int_equal(read(cases[i].text, cases[i].operands, &equation), NORMA_OK);
    for (int t = 0; t < cases[i].operands; t++) {
      const char *problem = einsum_next_term(&equation, &cursor, cases[i].ranks[t], &term, &ellipsis);
      if (problem) fail_msg("%s: %s", cases[i].text, problem);
      expect(&term, cases[i].terms[t]);
    }
    assert_null(einsum_result_term(&equation, cases[i].ellipsis, &term));
    expect(&term, cases[i].result);
  }
}

static void refused(void **state) {
  (void)state;
  static const struct {
    const char *text;
    int operands;
  } wrong[] = {{"ij,jk->ik", 1},
               {"ij->ik", 1},
               {"ij->ii", 1},
               {"i1->i", 1},
               {"i->i,j", 1},
               {"i..j->ij", 1},
               {"i.", 1},
               {"......", 1},
               {"...i...->i", 1},
               {"i->j", 1},
               {"i-j", 1},
               {"i->i->i", 1},
               {"i>i", 1},
               {"i,j,k->", 2},
               {"\n", 1},
               {"i\xc3", 1},
               {"abcdefghijklmnopq", 1},
               {"->...a", 1}};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    einsum_equation equation;
    if (read(wrong[i].text, wrong[i].operands, &equation) == NORMA_OK) fail_msg("\"%s\" was accepted", wrong[i].text);
  }
  einsum_equation equation;
  einsum_term term;
  size_t cursor = 0;
  int ellipsis;
  assert_int_equal(read("ij,...k->ik", 2, &equation), NORMA_OK);
  assert_non_null(einsum_next_term(&equation, &cursor, 3, &term, &ellipsis)); /* no "..." for a third dimension */
  assert_non_null(einsum_next_term(&equation, &cursor, 0, &term, &ellipsis));
  assert_int_equal(read("...a,...b->ab...", 2, &equation), NORMA_OK);
  assert_non_null(einsum_result_term(&equation, NORMA_MAX_RANK - 1, &term));
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(terms_and_results), cmocka_unit_test(refused)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
