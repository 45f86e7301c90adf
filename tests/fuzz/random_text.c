#include "tests/fuzz/mutation.h"

#include <stdio.h>
#include <string.h>

enum { TEXT_BYTES = 400 };

typedef struct written {
  char text[TEXT_BYTES + 1];
  size_t length;
} written;

static void write_text(written *to, const char *text) {
  size_t room = TEXT_BYTES - to->length, length = strlen(text);
  if (length > room) length = room;
  memcpy(to->text + to->length, text, length);
  to->length += length;
  to->text[to->length] = '\0';
}

static const char *one_of(random_source *random, const char *const *texts, size_t count) {
  return texts[random_below(random, count)];
}

#define ONE_OF(random, array) one_of(random, array, sizeof(array) / sizeof *(array))

static void write_equation(random_source *random, written *to) {
  static const char *const labels[] = {"i", "j",   "k",    "ii",   "ij", "ik", "A",
                                       "z", "...", "i...", "...j", " ",  "",   "iji"};
  uint64_t operands = 1 + random_below(random, random_one_in(random, 12) ? 40 : 4);
  for (uint64_t i = 0; i < operands; i++) {
    if (i) write_text(to, random_one_in(random, 20) ? "." : ",");
    for (uint64_t n = random_below(random, random_one_in(random, 10) ? 30 : 4); n > 0; n--) {
      write_text(to, ONE_OF(random, labels));
    }
  }
  if (random_one_in(random, 4)) return;
  write_text(to, random_one_in(random, 12) ? "-" : "->");
  for (uint64_t n = random_below(random, 4); n > 0; n--) write_text(to, ONE_OF(random, labels));
}

static void write_pattern(random_source *random, written *to, int depth) {
  static const char *const atoms[] = {"a",    ".",           "\\d",  "\\w",      "[a-z]", "[^\\x00-\\x{10FFFF}]",
                                      "\\pL", "^",           "$",    "\\b",      "\\C",   "",
                                      "|",    "[[:alpha:]]", "(?i)", "\\Q",      "[z-a]", "\\p{Lu",
                                      "\\x{", "[",           ")",    "\xC3\xA4", "\xFF"};
  static const char *const repeats[] = {"*",      "+",         "?",         "{3}",   "{0,}", "{1,1000}",
                                        "{1000}", "{2147483}", "{999999,}", "{3,2}", "*?",   "**"};
  for (uint64_t n = 1 + random_below(random, 4); n > 0; n--) {
    if (depth < 40 && random_one_in(random, depth < 4 ? 2 : 3)) {
      write_text(to, random_one_in(random, 4) ? "(?:" : random_one_in(random, 8) ? "(?P<n>" : "(");
      write_pattern(random, to, depth + 1);
      if (!random_one_in(random, 20)) write_text(to, ")");
    } else {
      write_text(to, ONE_OF(random, atoms));
    }
    if (random_one_in(random, 2)) write_text(to, ONE_OF(random, repeats));
  }
}

static void write_word(random_source *random, written *to) {
  static const char *const words[] = {"BRANCH_LEQ",
                                      "BRANCH_LT",
                                      "BRANCH_GTE",
                                      "BRANCH_GT",
                                      "BRANCH_EQ",
                                      "BRANCH_NEQ",
                                      "LEAF",
                                      "BRANCH_MEMBER",
                                      "SUM",
                                      "AVERAGE",
                                      "MIN",
                                      "MAX",
                                      "SOFTMAX",
                                      "SOFTMAX_ZERO",
                                      "LOGISTIC",
                                      "PROBIT",
                                      "NONE",
                                      "LINEAR",
                                      "POLY",
                                      "RBF",
                                      "SIGMOID",
                                      "L1",
                                      "L2",
                                      "Relu",
                                      "Tanh",
                                      "Sigmoid",
                                      "Affine",
                                      "LeakyRelu",
                                      "HardSigmoid",
                                      "Elu",
                                      "ScaledTanh",
                                      "Softplus",
                                      "forward",
                                      "reverse",
                                      "bidirectional",
                                      "TF",
                                      "IDF",
                                      "TFIDF",
                                      "RGB",
                                      "BGR",
                                      "Grayscale",
                                      "linear",
                                      "nearest",
                                      "cubic",
                                      "bilinear",
                                      "bicubic",
                                      "zeros",
                                      "border",
                                      "reflection",
                                      "avg",
                                      "max",
                                      "output_half_pixel",
                                      "half_pixel",
                                      "CONSTANT",
                                      "LOWER",
                                      "UPPER",
                                      "add",
                                      "mul",
                                      "none",
                                      "mean",
                                      "sum",
                                      "TO_FLOAT",
                                      "TO_STRING",
                                      "TO_INT64",
                                      "DENSE",
                                      "SPARSE",
                                      "NHWC",
                                      "NCHW",
                                      "constant",
                                      "reflect",
                                      "edge",
                                      "wrap",
                                      "gelu",
                                      "identity",
                                      "silu",
                                      "swiglu",
                                      "relu",
                                      "align_corners",
                                      "asymmetric",
                                      "crop",
                                      "VALID",
                                      "SAME_UPPER",
                                      "SAME_LOWER",
                                      "NOTSET",
                                      "en_US",
                                      "C",
                                      "tf_crop_and_resize",
                                      "gated",
                                      "delta",
                                      "gated_delta"};
  write_text(to, ONE_OF(random, words));
}

static void write_number(random_source *random, written *to) {
  static const char *const numbers[] = {"NaN", "-inf", "INF",  "1e400", "-1e-400", "0x1p4",
                                        "1e",  "+",    "  7 ", "1_000", "0.1"};
  char text[32];
  snprintf(text, sizeof text, "%lld", (long long)random_hostile_int(random));
  write_text(to, random_one_in(random, 2) ? text : ONE_OF(random, numbers));
}

static void write_bytes_of_text(random_source *random, written *to) {
  for (uint64_t n = random_below(random, 40); n > 0; n--) {
    char byte[2] = {(char)(1 + random_below(random, 255)), '\0'};
    write_text(to, byte);
  }
}

char *random_text(mutation *mutation) {
  written made = {.length = 0};
  random_source *random = mutation->random;
  switch (random_below(random, 6)) {
  case 0:
    write_equation(random, &made);
    break;
  case 1:
    write_pattern(random, &made, 0);
    break;
  case 2:
  case 3:
    write_word(random, &made);
    break;
  case 4:
    write_number(random, &made);
    break;
  default:
    write_bytes_of_text(random, &made);
    break;
  }
  return mutation_text(mutation, made.text);
}
