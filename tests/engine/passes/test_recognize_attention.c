/* Attention written as MatMul, Softmax, MatMul becomes one operator, with masks, factors and Transposes around it, and
 * what only looks alike does not. */
#include "tests/engine/passes/pass_check.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define DIMS(...) ((int64_t[]){__VA_ARGS__})
#define PASS      "recognize_attention dead_code_elimination"
#define BOUND     (4 * PASS_BOUND(NORMA_FLOAT))

enum { BATCH = 2, HEADS = 3, QUERIES = 5, KEYS = 7, DEPTH = 8, VALUES = 6 };

/* q, k, v as heads of rows; k is "t" transposed. */
static model_builder *heads_model(int64_t opset, norma_element_type type) {
  model_builder *b = builder_create(opset);
  builder_input(b, "q", type, 4, DIMS(BATCH, HEADS, QUERIES, DEPTH));
  builder_input(b, "k", type, 4, DIMS(BATCH, HEADS, KEYS, DEPTH));
  builder_input(b, "v", type, 4, DIMS(BATCH, HEADS, KEYS, VALUES));
  add_number(b, "scale", type, 0.3);
  add_number(b, "divisor", type, 2.5);
  return b;
}

static void transpose(model_builder *b, const char *x, const char *y, const int64_t *perm, size_t rank) {
  builder_ints(builder_node(b, "Transpose", x, y), "perm", rank, perm);
}

static void transpose_keys(model_builder *b) {
  transpose(b, "k", "t", DIMS(0, 1, 3, 2), 4);
}

/* Behind the scores s: Softmax and the product with v. */
static void finish(model_builder *b, const char *scores) {
  builder_int(builder_node(b, "Softmax", scores, "w"), "axis", -1);
  builder_node(b, "MatMul", "w v", "y");
}

static void factors_may_stand_anywhere(void **state) {
  (void)state;
  for (int form = 0; form < 8; form++) {
    model_builder *b = heads_model(form & 1 ? 13 : 11, NORMA_FLOAT);
    transpose_keys(b);
    if (form < 3) {
      builder_node(b, "MatMul", "q t", form ? "p" : "s");
      if (form) builder_node(b, form == 1 ? "Mul" : "Div", form == 1 ? "scale p" : "p divisor", "s");
    } else if (form == 3) { /* on both sides */
      builder_node(b, "Mul", "q scale", "qs");
      builder_node(b, "Mul", "scale t", "ts");
      builder_node(b, "MatMul", "qs ts", "s");
    } else if (form == 4) { /* before keys are transposed */
      builder_node(b, "Mul", "k scale", "ks");
      transpose(b, "ks", "kt", DIMS(0, 1, 3, 2), 4);
      builder_node(b, "MatMul", "q kt", "s");
    } else if (form == 5) {
      builder_node(b, "Div", "q divisor", "qs");
      builder_node(b, "MatMul", "qs t", "s");
    } else {
      builder_node(b, "MatMul", "q t", "p");
      builder_node(b, "Mul", "p scale", "p2");
      builder_node(b, "Div", "p2 divisor", "s");
    }
    if (form & 1) /* the last axis by another name */
      builder_int(builder_node(b, "Softmax", "s", "w"), "axis", 3), builder_node(b, "MatMul", "w v", "y");
    else
      finish(b, "s");
    checked c = check_nodes(b, PASS, BOUND, 1);
    only_node(&c, "DotProductAttention");
    free_checked(&c);
  }
}

/* Q, K and V as Reshape leaves them, [B, S, H, D], and Y that goes back. */
static void exchanged_heads_are_read_through(void **state) {
  (void)state;
  for (int form = 0; form < 16; form++) {
    model_builder *b = builder_create(13);
    builder_input(b, "q0", NORMA_FLOAT, 4, DIMS(BATCH, QUERIES, HEADS, DEPTH));
    builder_input(b, "k0", NORMA_FLOAT, 4, DIMS(BATCH, KEYS, HEADS, DEPTH));
    builder_input(b, "v0", NORMA_FLOAT, 4, DIMS(BATCH, KEYS, HEADS, VALUES));
    add_number(b, "scale", NORMA_FLOAT, 0.3);
    transpose(b, "q0", "q", DIMS(0, 2, 1, 3), 4);
    if (form & 1) { /* two steps, a factor in between */
      transpose(b, "k0", "k1", DIMS(0, 2, 1, 3), 4);
      builder_node(b, "Mul", "k1 scale", "k");
      transpose_keys(b);
    } else {
      transpose(b, "k0", "t", DIMS(0, 2, 3, 1), 4);
    }
    transpose(b, "v0", "v", DIMS(0, 2, 1, 3), 4);
    builder_node(b, "MatMul", "q t", "s");
    builder_node(b, "Softmax", "s", "w");
    builder_node(b, "MatMul", "w v", form & 2 ? "o" : "y");
    if (form & 2) transpose(b, "o", form & 4 ? "z" : "y", DIMS(0, 2, 1, 3), 4);
    if ((form & 6) == 6) builder_node(b, "Neg", "z", "y");
    if (form & 8) builder_output(b, "q", NORMA_UNDEFINED, -1, NULL); /* someone else reads a Transpose */
    checked c = check_nodes(b, PASS, BOUND, 1 + ((form & 6) == 6) + ((form & 8) != 0));
    const node *made = only_node(&c, "DotProductAttention");
    assert_int_equal(attribute_int(made, "q_by_row", 0), 1);
    assert_int_equal(attribute_int(made, "k_by_row", 0), 1);
    assert_int_equal(attribute_int(made, "v_by_row", 0), 1);
    assert_int_equal(attribute_int(made, "y_by_row", 0), (form & 2) != 0);
    free_checked(&c);
  }
}

/* Masks of any shape that can be broadcast, also such that repeat the scores. */
static void masks_are_broadcast(void **state) {
  static const struct {
    int rank;
    int64_t dims[4];
  } masks[] = {{0, {0}},
               {1, {KEYS}},
               {1, {1}},
               {2, {QUERIES, KEYS}},
               {2, {QUERIES, 1}},
               {3, {HEADS, 1, KEYS}},
               {4, {2, 1, 1, KEYS}},
               {4, {2, 3, QUERIES, KEYS}},
               {4, {1, 3, 5, 1}}};
  (void)state;
  for (size_t m = 0; m < sizeof masks / sizeof *masks; m++)
    for (int form = 0; form < 4; form++) {
      model_builder *b = heads_model(13, NORMA_FLOAT);
      builder_input(b, "mask", NORMA_FLOAT, masks[m].rank, masks[m].dims);
      add_random(b, "other", NORMA_FLOAT, 2, DIMS(QUERIES, KEYS), -3, 3);
      transpose_keys(b);
      builder_node(b, "MatMul", "q t", "p");
      builder_node(b, "Mul", "p scale", "s");
      builder_node(b, "Add", form & 1 ? "mask s" : "s mask", "a");
      if (form & 2) builder_node(b, "Add", "a other", "a2");
      finish(b, form & 2 ? "a2" : "a");
      expect_nodes(b, PASS, BOUND, 1);
    }
}

/* Batches, heads, rows and keys of 1 that products and masks repeat. */
static void products_are_broadcast(void **state) {
  static const int64_t shapes[][4][4] = {
      /* q, k, v, mask */
      {{1, 3, 5, 8}, {2, 3, 7, 8}, {2, 3, 7, 6}, {1, 1, 1, 7}},
      {{2, 3, 5, 8}, {1, 1, 7, 8}, {2, 3, 7, 6}, {1, 1, 5, 7}},
      {{2, 3, 5, 8}, {2, 3, 7, 8}, {1, 1, 7, 6}, {2, 1, 5, 7}},
      {{2, 3, 1, 8}, {2, 3, 7, 8}, {2, 3, 7, 6}, {1, 1, 5, 7}},
      {{2, 3, 5, 8}, {2, 3, 1, 8}, {2, 3, 7, 6}, {1, 1, 5, 7}},
      {{1, 1, 5, 8}, {1, 1, 7, 8}, {1, 1, 7, 6}, {2, 3, 5, 7}},
      {{1, 1, 1, 8}, {1, 1, 1, 8}, {1, 1, 7, 6}, {2, 3, 5, 7}},
      {{2, 3, 5, 1}, {2, 3, 7, 1}, {2, 3, 7, 1}, {1, 1, 5, 7}},
      {{2, 3, 40, 8}, {1, 3, 150, 8}, {2, 1, 150, 6}, {2, 1, 1, 150}},
  };
  (void)state;
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
    model_builder *b = builder_create(13);
    builder_input(b, "q", NORMA_FLOAT, 4, shapes[i][0]);
    builder_input(b, "k", NORMA_FLOAT, 4, shapes[i][1]);
    builder_input(b, "v", NORMA_FLOAT, 4, shapes[i][2]);
    builder_input(b, "mask", NORMA_FLOAT, 4, shapes[i][3]);
    transpose_keys(b);
    builder_node(b, "MatMul", "q t", "p");
    builder_node(b, "Add", "p mask", "s");
    finish(b, "s");
    expect_nodes(b, PASS, BOUND, 1);
  }
}

static void dimensions_may_be_unknown(void **state) {
  (void)state;
  model_builder *b = builder_create(13);
  builder_input(b, "q", NORMA_FLOAT, 4, DIMS(-1, HEADS, -1, DEPTH));
  builder_input(b, "k", NORMA_FLOAT, 4, DIMS(-1, HEADS, -1, DEPTH));
  builder_input(b, "v", NORMA_FLOAT, 4, DIMS(-1, -1, -1, -1));
  builder_input(b, "mask", NORMA_FLOAT, 4, DIMS(1, -1, 1, -1));
  add_number(b, "scale", NORMA_FLOAT, 0.3);
  add_number(b, "one", NORMA_FLOAT, 1);
  transpose_keys(b);
  builder_node(b, "MatMul", "q t", "p");
  builder_node(b, "ReduceMax", "mask", "m"); /* whatever the size of mask */
  builder_node(b, "Add", "m p", "s");
  builder_node(b, "Softmax", "s", "w");
  builder_node(b, "ReduceMax", "v", "largest");
  builder_node(b, "Mul", "k largest", "v2");
  builder_node(b, "MatMul", "w v2", "y");
  checked c = check_nodes(b, PASS, BOUND, 4);
  only_node(&c, "DotProductAttention");
  free_checked(&c);
}

/* Three dimensions, heads and batch in one. */
static void rank_3_is_recognised(void **state) {
  (void)state;
  model_builder *b = builder_create(13);
  builder_input(b, "q", NORMA_FLOAT, 3, DIMS(6, QUERIES, DEPTH));
  builder_input(b, "k", NORMA_FLOAT, 3, DIMS(6, KEYS, DEPTH));
  builder_input(b, "v", NORMA_FLOAT, 3, DIMS(1, KEYS, VALUES));
  builder_input(b, "mask", NORMA_FLOAT, 3, DIMS(6, 1, KEYS));
  transpose(b, "k", "t", DIMS(0, 2, 1), 3);
  builder_node(b, "MatMul", "q t", "p");
  builder_node(b, "Add", "p mask", "s");
  finish(b, "s");
  expect_nodes(b, PASS, BOUND, 1);
}

/* Where, by a condition that says what is seen or what is hidden, and a row of which all is hidden: NaN where the
 * number is an infinity, equal weights where it is not. */
static void conditions_hide_keys(void **state) {
  static const double numbers[] = {-INFINITY, -3.4028234663852886e38, -1e30};
  double seen[QUERIES * KEYS];
  (void)state;
  for (int i = 0; i < QUERIES * KEYS; i++) seen[i] = i / KEYS != 2 && i * 7 % 5 > 1;
  for (int form = 0; form < 12; form++) {
    model_builder *b = heads_model(13, NORMA_FLOAT);
    add_numbers(b, "seen", NORMA_BOOL, 2, DIMS(QUERIES, KEYS), seen);
    add_number(b, "low", NORMA_FLOAT, numbers[form % 3]);
    builder_input(b, "mask", NORMA_FLOAT, 4, DIMS(BATCH, 1, 1, KEYS));
    transpose_keys(b);
    builder_node(b, "MatMul", "q t", "p");
    builder_node(b, "Div", "p divisor", "d");
    builder_node(b, "Where", form / 3 % 2 ? "seen low d" : "seen d low", "s");
    if (form >= 6) builder_node(b, "Add", "s mask", "a");
    finish(b, form >= 6 ? "a" : "s");
    checked c = check_nodes(b, PASS, BOUND, form / 3 % 2 ? 2 : 1);
    only_node(&c, "DotProductAttention");
    free_checked(&c);
  }
}

/* A row whose mask is -inf everywhere is NaN, as behind Softmax; one that is low everywhere is not. */
static void rows_that_are_hidden_by_sums(void **state) {
  static const double numbers[] = {-INFINITY, -3.4028234663852886e38, -10000};
  (void)state;
  for (int n = 0; n < 3; n++)
    for (int few = 0; few < 2; few++) {
      double mask[QUERIES * KEYS];
      for (int i = 0; i < QUERIES * KEYS; i++) mask[i] = i / KEYS == (few ? 0 : 3) || i % 3 == 0 ? numbers[n] : 0.5;
      model_builder *b = builder_create(13);
      builder_input(b, "q", NORMA_FLOAT, 4, DIMS(BATCH, HEADS, few ? 1 : QUERIES, DEPTH));
      builder_input(b, "k", NORMA_FLOAT, 4, DIMS(BATCH, HEADS, KEYS, DEPTH));
      builder_input(b, "v", NORMA_FLOAT, 4, DIMS(BATCH, HEADS, KEYS, VALUES));
      add_numbers(b, "mask", NORMA_FLOAT, 2, DIMS(few ? 1 : QUERIES, KEYS), mask);
      transpose_keys(b);
      builder_node(b, "MatMul", "q t", "p");
      builder_node(b, "Add", "p mask", "s");
      finish(b, "s");
      expect_nodes(b, PASS, BOUND, 1);
    }
}

/* A Mul or Div by a number, or nothing; returns the name of the result. */
static const char *maybe_scale(model_builder *b, uint64_t *seed, const char *x, const char *y) {
  char inputs[32];
  int64_t form = random_int(seed, 0, 2);
  if (form == 2) return x;
  snprintf(inputs, sizeof inputs, "%s %s", x, form ? "scale" : "divisor");
  builder_node(b, form ? "Mul" : "Div", inputs, y);
  return y;
}

/* An input as rows of heads or heads of rows, and what makes heads of rows of it. */
static const char *add_heads(model_builder *b, uint64_t *seed, const char *name, int64_t rows, int64_t elements) {
  char other[8];
  snprintf(other, sizeof other, "%s0", name);
  int64_t batch = random_of(seed, 1, BATCH), heads = random_of(seed, 1, HEADS);
  if (random_int(seed, 0, 1)) {
    builder_input(b, name, NORMA_FLOAT, 4, DIMS(batch, heads, rows, elements));
  } else {
    builder_input(b, other, NORMA_FLOAT, 4, DIMS(batch, rows, heads, elements));
    transpose(b, other, name, DIMS(0, 2, 1, 3), 4);
  }
  return name;
}

/* Scores plus a mask, or chosen by one. */
static const char *add_mask(model_builder *b, uint64_t *seed, const char *scores, const int64_t *sizes, int which) {
  static const char *const masks[] = {"m0", "m1"}, *const results[] = {"s0", "s1"};
  const bool sums = which == 1 || random_int(seed, 0, 1), first = random_int(seed, 0, 1);
  const int rank = (int)random_int(seed, 0, 4);
  int64_t dims[4];
  char inputs[32];
  for (int i = 0; i < rank; i++) dims[i] = random_int(seed, 0, 1) ? sizes[4 - rank + i] : 1;
  builder_input(b, masks[which], sums ? NORMA_FLOAT : NORMA_BOOL, rank, dims);
  if (sums)
    snprintf(inputs, sizeof inputs, "%s %s", first ? masks[which] : scores, first ? scores : masks[which]);
  else
    snprintf(inputs, sizeof inputs, "%s %s %s", masks[which], first ? "low" : scores, first ? scores : "low");
  builder_node(b, sums ? "Add" : "Where", inputs, results[which]);
  return results[which];
}

static void random_graphs_give_the_same(void **state) {
  uint64_t seed = 77;
  (void)state;
  for (int i = 0; i < 200; i++) {
    model_builder *b = builder_create(random_of(&seed, 13, 17, 21));
    const int64_t queries = random_of(&seed, 1, 4, 40), keys = random_of(&seed, 1, 9, 130);
    const int64_t depth = random_int(&seed, 1, 12), sizes[4] = {BATCH, HEADS, queries, keys};
    char inputs[32];
    add_number(b, "scale", NORMA_FLOAT, 0.4);
    add_number(b, "divisor", NORMA_FLOAT, 1.7);
    add_number(b, "low", NORMA_FLOAT, random_int(&seed, 0, 1) ? -INFINITY : -1e34);
    const char *q = maybe_scale(b, &seed, add_heads(b, &seed, "q", queries, depth), "qs");
    transpose(b, maybe_scale(b, &seed, add_heads(b, &seed, "k", keys, depth), "ks"), "kt", DIMS(0, 1, 3, 2), 4);
    snprintf(inputs, sizeof inputs, "%s %s", q, maybe_scale(b, &seed, "kt", "ts"));
    builder_node(b, "MatMul", inputs, "p");
    const char *scores = maybe_scale(b, &seed, "p", "ps");
    const int64_t masks = random_int(&seed, 0, 2);
    for (int m = 0; m < masks; m++) scores = add_mask(b, &seed, scores, sizes, m);
    builder_node(b, "Softmax", scores, "w");
    snprintf(inputs, sizeof inputs, "w %s", add_heads(b, &seed, "v", keys, random_int(&seed, 1, 12)));
    builder_node(b, "MatMul", inputs, "o");
    if (random_int(&seed, 0, 1))
      transpose(b, "o", "y", DIMS(0, 2, 1, 3), 4);
    else
      builder_node(b, "Neg", "o", "y");
    builder_output(b, "y", NORMA_UNDEFINED, -1, NULL);
    checked c = check_passes(b, PASS, BOUND);
    only_node(&c, "DotProductAttention");
    free_checked(&c);
  }
}

static void types_are_checked(void **state) {
  static const norma_element_type types[] = {NORMA_FLOAT16, NORMA_BFLOAT16, NORMA_DOUBLE};
  (void)state;
  for (int t = 0; t < 3; t++)
    for (int masked = 0; masked < 2; masked++) {
      model_builder *b = heads_model(22, types[t]);
      builder_input(b, "mask", types[t], 1, DIMS(KEYS));
      transpose_keys(b);
      builder_node(b, "MatMul", "q t", "p");
      if (masked) builder_node(b, "Add", "p mask", "s");
      finish(b, masked ? "s" : "p");
      bool fuses = t < 2 && !masked;
      expect_nodes(b, PASS, fuses ? 16 * PASS_BOUND(types[t]) : 0, fuses ? 1 : 4 + masked);
    }
}

static void what_only_looks_alike_stays(void **state) {
  (void)state;
  for (int form = 0; form < 8; form++) {
    model_builder *b = heads_model(form == 7 ? 11 : 13, NORMA_FLOAT);
    builder_input(b, "mask", NORMA_FLOAT, 4, DIMS(BATCH, 1, 1, KEYS));
    builder_input(b, "seen", NORMA_BOOL, 1, DIMS(KEYS));
    add_number(b, "low", NORMA_FLOAT, -10000);
    int count = 5;
    transpose_keys(b);
    builder_node(b, "MatMul", "q t", "p");
    if (form == 0) { /* scores are read */
      builder_output(b, "p", NORMA_UNDEFINED, -1, NULL);
      count = 4;
    } else if (form == 1) { /* the mask is scaled too */
      builder_node(b, "Add", "p mask", "m");
      builder_node(b, "Mul", "m scale", "s");
      count = 6;
    } else if (form == 2) { /* -10000 + score is not -10000 */
      builder_node(b, "Where", "seen p low", "s");
    } else if (form == 3) { /* no product of scores */
      builder_node(b, "Mul", "p mask", "s");
    } else if (form == 4 || form == 7) { /* another axis, by default too */
      count = 4;
    } else if (form == 5) { /* keys that nobody transposed */
      count = 3;
    } else { /* weights are read */
      builder_output(b, "w", NORMA_UNDEFINED, -1, NULL);
      count = 4;
    }
    if (form == 5) {
      builder_destroy(b);
      b = builder_create(13);
      builder_input(b, "q", NORMA_FLOAT, 4, DIMS(BATCH, HEADS, QUERIES, DEPTH));
      builder_input(b, "t", NORMA_FLOAT, 4, DIMS(BATCH, HEADS, DEPTH, KEYS));
      builder_input(b, "v", NORMA_FLOAT, 4, DIMS(BATCH, HEADS, KEYS, VALUES));
      builder_node(b, "MatMul", "q t", "p");
    }
    node *softmax = builder_node(b, "Softmax", form >= 1 && form <= 3 ? "s" : "p", "w");
    if (form == 4) builder_int(softmax, "axis", 2);
    builder_node(b, "MatMul", "w v", "y");
    expect_nodes(b, PASS, 0, count);
  }
}

static void parts_of_other_graphs_stay(void **state) {
  (void)state;
  model_builder *b = heads_model(13, NORMA_FLOAT);
  builder_input(b, "choice", NORMA_BOOL, 0, NULL);
  transpose_keys(b);
  builder_node(b, "MatMul", "q t", "p");
  builder_node(b, "Softmax", "p", "w");
  node *branch = builder_node(b, "If", "choice", "y");
  model_builder *then_branch = builder_subgraph(b, branch, "then_branch");
  builder_node(then_branch, "MatMul", "w v", "z");
  builder_output(then_branch, "z", NORMA_FLOAT, -1, NULL);
  model_builder *else_branch = builder_subgraph(b, branch, "else_branch");
  builder_node(else_branch, "Neg", "v", "z");
  builder_output(else_branch, "z", NORMA_FLOAT, -1, NULL);
  expect_nodes(b, PASS, 0, 6);
}

static void allocations_that_fail_are_reported(void **state) {
  (void)state;
  model_builder *b = heads_model(13, NORMA_FLOAT);
  builder_input(b, "hidden", NORMA_BOOL, 1, DIMS(KEYS));
  add_number(b, "low", NORMA_FLOAT, -INFINITY);
  transpose_keys(b);
  builder_node(b, "MatMul", "q t", "p");
  builder_node(b, "Mul", "p scale", "d");
  builder_node(b, "Where", "hidden low d", "s");
  builder_node(b, "Softmax", "s", "w");
  builder_node(b, "MatMul", "w v", "o");
  transpose(b, "o", "y", DIMS(0, 2, 1, 3), 4);
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  check_allocations(b, PASS);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(factors_may_stand_anywhere),
      cmocka_unit_test(exchanged_heads_are_read_through),
      cmocka_unit_test(masks_are_broadcast),
      cmocka_unit_test(products_are_broadcast),
      cmocka_unit_test(dimensions_may_be_unknown),
      cmocka_unit_test(rank_3_is_recognised),
      cmocka_unit_test(conditions_hide_keys),
      cmocka_unit_test(rows_that_are_hidden_by_sums),
      cmocka_unit_test(random_graphs_give_the_same),
      cmocka_unit_test(types_are_checked),
      cmocka_unit_test(what_only_looks_alike_stays),
      cmocka_unit_test(parts_of_other_graphs_stay),
      cmocka_unit_test(allocations_that_fail_are_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
