/* Einsum against the sum over all labels, one product after the other. */
#include "tests/support/operator_driver.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

typedef struct einsum_case {
  const char *equation, *terms; /* terms and result again, "..." written out in letters, separated by blanks */
  int operands;
  int64_t dims[10][6];
} einsum_case;

static const einsum_case cases[] = {
    {"ij,jk->ik", "ij jk ik", 2, {{5, 7}, {7, 3}}},
    {"ij,jk", "ij jk ik", 2, {{5, 1}, {1, 3}}},
    {"ij,jk->ki", "ij jk ki", 2, {{50, 70}, {70, 30}}},
    {"bij,bjk->bik", "bij bjk bik", 2, {{3, 5, 7}, {3, 7, 4}}},
    {"ijb,jkb->bik", "ijb jkb bik", 2, {{5, 7, 3}, {7, 4, 3}}},
    {"bqhd,bkhd->bhqk", "bqhd bkhd bhqk", 2, {{2, 9, 3, 8}, {2, 11, 3, 8}}},
    {"bhqk,bkhd->bqhd", "bhqk bkhd bqhd", 2, {{2, 3, 9, 11}, {2, 11, 3, 8}}},
    {"bsd,dhk->bshk", "bsd dhk bshk", 2, {{2, 17, 33}, {33, 4, 9}}},
    {"dhk,bsd->bshk", "dhk bsd bshk", 2, {{33, 4, 9}, {2, 17, 33}}},
    {"abcd,dcef->abfe", "abcd dcef abfe", 2, {{2, 3, 4, 5}, {5, 4, 2, 3}}},
    {"...ij,...jk->...ik", "abij bjk abik", 2, {{2, 3, 4, 5}, {3, 5, 2}}},
    {"...ij,...jk->...ik", "abij bjk abik", 2, {{2, 3, 4, 5}, {1, 5, 2}}},
    {"i,i->", "i i ", 2, {{10000}, {10000}}},
    {"bi,bi->b", "bi bi b", 2, {{30, 9}, {30, 9}}},
    {"bi,ib->b", "bi ib b", 2, {{30, 9}, {9, 30}}},
    {"bij,bji->b", "bij bji b", 2, {{4, 3, 5}, {4, 5, 3}}},
    {"i,j->ji", "i j ji", 2, {{7}, {5}}},
    {"ij,ij->ij", "ij ij ij", 2, {{4, 6}, {4, 6}}},
    {"ij,j->ij", "ij j ij", 2, {{4, 6}, {6}}},
    {",ij->ij", " ij ij", 2, {{0}, {4, 6}}},
    {"ii->i", "ii i", 1, {{6, 6}}},
    {"ii->", "ii ", 1, {{6, 6}}},
    {"iij->j", "iij j", 1, {{4, 4, 5}}},
    {"ijk->kij", "ijk kij", 1, {{3, 4, 5}}},
    {"ijk->j", "ijk j", 1, {{30, 4, 50}}},
    {"ijk->", "ijk ", 1, {{30, 4, 50}}},
    {"ii,ij,jj->", "ii ij jj ", 3, {{3, 3}, {3, 4}, {4, 4}}},
    {"ij,jk,kl->il", "ij jk kl il", 3, {{3, 40}, {40, 5}, {5, 6}}},
    {"ab,cd,ef->", "ab cd ef ", 3, {{2, 3}, {4, 2}, {3, 2}}},
    {"ij,i,j->ij", "ij i j ij", 3, {{4, 5}, {4}, {5}}},
    {"i,ij,jk,kl,lm,mn,no,op,p->",
     "i ij jk kl lm mn no op p ",
     9,
     {{2}, {2, 3}, {3, 2}, {2, 4}, {4, 2}, {2, 3}, {3, 2}, {2, 2}, {2}}},
    {"i,i,i,i,j,j,j,j,i,j->ij", "i i i i j j j j i j ij", 10, {{3}, {3}, {3}, {3}, {2}, {2}, {2}, {2}, {3}, {2}}},
};

static const norma_element_type types[] = {NORMA_FLOAT, NORMA_DOUBLE, NORMA_FLOAT16, NORMA_BFLOAT16,
                                           NORMA_INT8,  NORMA_INT16,  NORMA_INT32,   NORMA_INT64,
                                           NORMA_UINT8, NORMA_UINT16, NORMA_UINT32,  NORMA_UINT64};

/* The letters of term `index`. */
static int letters_of(const einsum_case *c, int index, char *letters) {
  const char *at = c->terms;
  int count = 0;
  for (int i = 0; i < index; i++) at = strchr(at, ' ') + 1;
  for (; *at && *at != ' '; at++) letters[count++] = *at;
  letters[count] = 0;
  return count;
}

typedef struct naive {
  const einsum_case *c;
  const value *operands;
  double *result, *magnitude; /* sums of products, and of their magnitudes */
  char letters[11][8], all[60];
  int counts[11], letter_count;
  int64_t sizes[128], index[128];
} naive;

/* All values of the letters from `letter` on. */
static void sum_from(naive *n, int letter) {
  if (letter < n->letter_count) {
    int64_t *index = &n->index[(int)n->all[letter]];
    for (*index = 0; *index < n->sizes[(int)n->all[letter]]; (*index)++) sum_from(n, letter + 1);
    return;
  }
  double product = 1;
  int64_t at = 0;
  for (int o = 0; o < n->c->operands; o++) {
    int64_t from = 0;
    for (int i = 0; i < n->counts[o]; i++) {
      const int64_t size = n->c->dims[o][i];
      from = from * size + (size == 1 ? 0 : n->index[(int)n->letters[o][i]]);
    }
    product *= driver_element(&n->operands[o], from);
  }
  const int last = n->c->operands;
  for (int i = 0; i < n->counts[last]; i++)
    at = at * n->sizes[(int)n->letters[last][i]] + n->index[(int)n->letters[last][i]];
  n->result[at] += product;
  n->magnitude[at] += fabs(product);
}

static double tolerance_of(norma_element_type type) {
  return type == NORMA_DOUBLE     ? 1e-14
         : type == NORMA_FLOAT    ? 1e-6
         : type == NORMA_FLOAT16  ? 1e-3
         : type == NORMA_BFLOAT16 ? 8e-3
                                  : 0;
}

static void check(driver *driver, const einsum_case *c, norma_element_type type, uint64_t *seed) {
  static const int threads[] = {1, 2, 3, 7};
  const bool whole = (TYPE_BIT(type) & TYPES_INTEGER) != 0, is_unsigned = (TYPE_BIT(type) & TYPES_UNSIGNED) != 0;
  value operands[10];
  naive n = {.c = c, .operands = operands};
  for (int o = 0; o <= c->operands; o++) n.counts[o] = letters_of(c, o, n.letters[o]);
  for (int i = 0; i < 128; i++) n.sizes[i] = 1;
  for (int o = 0; o < c->operands; o++) {
    int64_t count = 1;
    for (int i = 0; i < n.counts[o]; i++) {
      count *= c->dims[o][i];
      if (c->dims[o][i] != 1) n.sizes[(int)n.letters[o][i]] = c->dims[o][i];
      if (!strchr(n.all, n.letters[o][i])) n.all[n.letter_count++] = n.letters[o][i];
    }
    double *elements = malloc(sizeof(double) * (size_t)(count + 1));
    for (int64_t i = 0; i < count; i++) {
      elements[i] = driver_random(seed, is_unsigned ? 0 : -2, 3);
      if (whole) elements[i] = floor(elements[i]);
    }
    operands[o] = driver_tensor(driver, type, n.counts[o], c->dims[o], elements);
    free(elements);
  }
  int64_t results = 1;
  for (int i = 0; i < n.counts[c->operands]; i++) results *= n.sizes[(int)n.letters[c->operands][i]];
  n.result = calloc((size_t)results, sizeof(double)), n.magnitude = calloc((size_t)results, sizeof(double));
  sum_from(&n, 0);
  void *first = NULL;
  for (size_t t = 0; t < COUNT(threads) * 3; t++) {
    driver_call call = {
        .op_type = "Einsum",
        .opset = 28,
        .input_count = c->operands,
        .output_count = 1,
        .workers = threads[t / 3],
        .constants = (uint32_t)(t % 3), /* none, the first, the second */
        .attributes = {{.name = "equation", .kind = ATTRIBUTE_STRING, .s = {c->equation, strlen(c->equation)}}}};
    for (int o = 0; o < c->operands; o++) call.inputs[o] = &operands[o];
    if (driver_run(driver, &call) != NORMA_OK) fail_msg("%s: %s", c->equation, driver->error.message);
    const norma_tensor *y = &driver->outputs[0].tensor;
    assert_int_equal(y->rank, n.counts[c->operands]);
    for (int i = 0; i < y->rank; i++) assert_int_equal(y->dims[i], n.sizes[(int)n.letters[c->operands][i]]);
    for (int64_t i = 0; i < results; i++) {
      double wanted = n.result[i];
      if (whole) { /* modulo 2^bits; sums are far below 2^53 */
        const double modulus = ldexp(1, element_type_bits(type));
        while (wanted < (is_unsigned ? 0 : -modulus / 2)) wanted += modulus;
        while (wanted >= (is_unsigned ? modulus : modulus / 2)) wanted -= modulus;
      }
      const double found = driver_element(&driver->outputs[0], i);
      if (isinf(found) && fabs(wanted) > 65000) continue;
      if (!(fabs(found - wanted) <= tolerance_of(type) * (n.magnitude[i] + 1e-3)))
        fail_msg("%s, element %d is %.9g, not %.9g", c->equation, (int)i, found, wanted);
    }
    if (t < 3) { /* with constants or not the order of sums may differ */
      free(first);
      first = malloc(y->size_bytes);
      memcpy(first, y->data, y->size_bytes);
    }
    if (t % 3 == 2) assert_memory_equal(first, y->data, y->size_bytes);
  }
  free(first), free(n.result), free(n.magnitude);
  for (int o = 0; o < c->operands; o++) value_clear(&operands[o]);
}

static void every_equation(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  uint64_t seed = 7;
  for (size_t i = 0; i < COUNT(cases); i++) {
    for (size_t t = 0; t < COUNT(types); t++) check(&driver, &cases[i], types[t], &seed);
  }
  driver_finish(&driver);
}

static void sums_of_nothing(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  value a = driver_floats(&driver, 2, (int64_t[]){2, 0}, NULL), b = driver_floats(&driver, 2, (int64_t[]){0, 3}, NULL);
  driver_call call = {.op_type = "Einsum",
                      .opset = 12,
                      .inputs = {&a, &b},
                      .input_count = 2,
                      .output_count = 1,
                      .attributes = {DRIVER_STRING("equation", "ij,jk->ik")}};
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  driver_assert_tensor(&driver.outputs[0], NORMA_FLOAT, 2, (int64_t[]){2, 3}, (double[6]){0});
  call.attributes[0] = (attribute)DRIVER_STRING("equation", "ij,jk->ijk");
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  driver_assert_tensor(&driver.outputs[0], NORMA_FLOAT, 3, (int64_t[]){2, 0, 3}, NULL);
  value_clear(&a), value_clear(&b);
  driver_finish(&driver);
}

/* Long sums keep their digits. */
static void long_dot_products(void **state) {
  (void)state;
  enum { LENGTH = 1 << 20 };
  driver driver;
  driver_init(&driver);
  double *elements = malloc(sizeof(double) * LENGTH);
  for (int i = 0; i < LENGTH; i++) elements[i] = 0.1;
  value a = driver_tensor(&driver, NORMA_FLOAT, 1, (int64_t[]){LENGTH}, elements);
  driver_call call = {.op_type = "Einsum",
                      .opset = 12,
                      .inputs = {&a, &a},
                      .input_count = 2,
                      .output_count = 1,
                      .attributes = {DRIVER_STRING("equation", "i,i->")}};
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  const double exact = (double)0.1f * (double)0.1f * LENGTH;
  assert_true(fabs(driver_element(&driver.outputs[0], 0) - exact) < 1e-6 * exact);
  call.input_count = 1;
  call.attributes[0] = (attribute)DRIVER_STRING("equation", "i->");
  assert_int_equal(driver_run(&driver, &call), NORMA_OK);
  assert_true(fabs(driver_element(&driver.outputs[0], 0) - (double)0.1f * LENGTH) < 1e-6 * (double)0.1f * LENGTH);
  free(elements);
  value_clear(&a);
  driver_finish(&driver);
}

static void refused(void **state) {
  (void)state;
  driver driver;
  driver_init(&driver);
  value a = driver_floats(&driver, 2, (int64_t[]){2, 3}, NULL), b = driver_floats(&driver, 2, (int64_t[]){4, 2}, NULL);
  value half = driver_tensor(&driver, NORMA_BFLOAT16, 2, (int64_t[]){2, 3}, NULL);
  static const char *const wrong[] = {"ij,jk->ik", "ij,ij->ij", "ijk,jk->i", "i,jk->i",
                                      "ij->ij",    "ii,jk->i",  "ij,jk->im", ""};
  for (size_t i = 0; i < COUNT(wrong); i++) {
    driver_call call = {
        .op_type = "Einsum",
        .opset = 12,
        .inputs = {&a, &b},
        .input_count = 2,
        .output_count = 1,
        .attributes = {{.name = "equation", .kind = ATTRIBUTE_STRING, .s = {wrong[i], strlen(wrong[i])}}}};
    if (driver_run(&driver, &call) == NORMA_OK) fail_msg("\"%s\" was accepted", wrong[i]);
  }
  driver_call call = {.op_type = "Einsum",
                      .opset = 27,
                      .inputs = {&half},
                      .input_count = 1,
                      .output_count = 1,
                      .attributes = {DRIVER_STRING("equation", "ij->ji")}};
  assert_int_not_equal(driver_run(&driver, &call), NORMA_OK);
  call.attributes[0].name = NULL;
  call.inputs[0] = &a;
  assert_int_not_equal(driver_run(&driver, &call), NORMA_OK); /* no equation */
  value_clear(&a), value_clear(&b), value_clear(&half);
  driver_finish(&driver);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_equation), cmocka_unit_test(sums_of_nothing),
                                     cmocka_unit_test(long_dot_products), cmocka_unit_test(refused)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
