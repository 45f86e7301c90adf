/*
 * SVMClassifier 1 (ai.onnx.ml): Y [N], the label of each row of X, and its scores Z. X is [N, F] or [F], of float,
 * double, int64 or int32.
 *
 * With support vectors (those of class 0, then of class 1 and so on; vectors_per_class of each), there is a decision
 * for each pair of classes i < j:
 *
 *   d = sum over vectors of class i of coefficients[j - 1][vector] * kernel(x, vector)
 *     + sum over vectors of class j of coefficients[i][vector] * kernel(x, vector) + rho[pair]
 *
 * which is a vote for i if it is above 0, else for j. Y is the class of most votes, of equal ones the first. Z are the
 * decisions, of two classes -d and d; or, with prob_a and prob_b, a probability for each class, from those of the
 * pairs, 1 / (1 + exp(prob_a d + prob_b)).
 *
 * Without support vectors, coefficients are a row of weights for each class; Z are the scores, x . weights + rho[0],
 * and Y is the class of the largest, of equal ones the first. Z is transformed in the end (ops/ml/post_transform.h).
 */
#include "ops/ml/class_labels.h"
#include "ops/ml/features.h"
#include "ops/ml/post_transform.h"
#include "ops/ml/svm.h"
#include "ops/work.h"

#include <inttypes.h>
#include <math.h>

typedef struct svm_classifier_state {
  svm svm;
  class_labels labels;
  post_transform transform;
  int64_t classes, pairs;
  const int64_t *first_vectors; /* of each class, and behind the last */
  const float *coefficients, *rho;
  const float *prob_a, *prob_b; /* of each pair; NULL: no probabilities */

  /* The plan's. */
  size_t classes_at; /* in scratch */
} svm_classifier_state;

/* ------------------------------------------------------------------------------------------------------------- read */

static norma_status svm_count_vectors(const node *node, svm_classifier_state *state, int64_t *vectors,
                                      norma_error *error) {
  size_t count;
  const int64_t *counts = attribute_ints(node, "vectors_per_class", &count);
  *vectors = 0;
  if (count == 0) return NORMA_OK;
  if ((int64_t)count != state->classes)
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "has %zu vectors_per_class for %" PRId64 " classes",
                         count, state->classes);
  int64_t *first = region_array(node->graph->region, count + 1, sizeof *first);
  if (!first) return region_error(node->graph->region, error);
  for (size_t i = 0; i < count; i++) {
    if (counts[i] < 0 || __builtin_add_overflow(first[i], counts[i], &first[i + 1]))
      return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "vectors_per_class[%zu] is %" PRId64, i, counts[i]);
  }
  state->first_vectors = first;
  *vectors = first[count];
  return NORMA_OK;
}

static norma_status svm_read_probabilities(const node *node, svm_classifier_state *state, norma_error *error) {
  size_t a, b;
  state->prob_a = attribute_floats(node, "prob_a", &a);
  state->prob_b = attribute_floats(node, "prob_b", &b);
  if (a != b || (a > 0 && (int64_t)a < state->pairs))
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "has %zu prob_a and %zu prob_b for %" PRId64 " pairs",
                         a, b, state->pairs);
  if (a == 0) state->prob_a = NULL;
  return NORMA_OK;
}

static norma_status svm_check_counts(const node *node, svm_classifier_state *state, size_t coefficients, size_t rhos,
                                     norma_error *error) {
  const int64_t vectors = state->svm.vectors;
  size_t wanted;
  if (vectors == 0) {
    if (coefficients == 0 || coefficients % (size_t)state->classes != 0)
      return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "has %zu coefficients for %" PRId64 " classes",
                           coefficients, state->classes);
    state->svm.features = (int64_t)(coefficients / (size_t)state->classes);
    return NORMA_OK;
  }
  if (state->classes < 2) return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "has one class only");
  if (!size_multiply((size_t)vectors, (size_t)state->classes - 1, &wanted) || coefficients != wanted)
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node,
                         "has %zu coefficients for %" PRId64 " support vectors of %" PRId64 " classes", coefficients,
                         vectors, state->classes);
  state->pairs = state->classes * (state->classes - 1) / 2;
  if ((int64_t)rhos < state->pairs)
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "has %zu rho for %" PRId64 " pairs of classes", rhos,
                         state->pairs);
  return svm_read_probabilities(node, state, error);
}

static norma_status svm_classifier_read(const node *node, void *opaque, norma_error *error) {
  svm_classifier_state *state = opaque;
  size_t coefficients, rhos;
  int64_t vectors;
  state->coefficients = attribute_floats(node, "coefficients", &coefficients);
  state->rho = attribute_floats(node, "rho", &rhos);
  if (rhos == 0) return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "has no rho");
  TRY(class_labels_read(node, "classlabels_ints", "classlabels_strings", &state->labels, error));
  state->classes = (int64_t)state->labels.count;
  if (state->classes == 0) return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "has no labels");
  TRY(post_transform_read(node, &state->transform, error));
  TRY(svm_count_vectors(node, state, &vectors, error));
  TRY(svm_read(node, &state->svm, vectors, error));
  return svm_check_counts(node, state, coefficients, rhos, error);
}

/* Columns of Z. */
static int64_t svm_score_count(const svm_classifier_state *state) {
  return state->svm.vectors > 0 && !state->prob_a && state->classes > 2 ? state->pairs : state->classes;
}

static norma_status svm_classifier_infer(infer_context *context) {
  const svm_classifier_state *state = context->state;
  int64_t rows, features;
  TRY(infer_feature_rows(context, state->svm.features, &rows, &features));
  const shape labels = shape_make(1, &rows), scores = shape_make(2, (int64_t[]){rows, svm_score_count(state)});
  infer_output(context, 0, class_labels_type(&state->labels), &labels);
  infer_output(context, 1, NORMA_FLOAT, &scores);
  return NORMA_OK;
}

/* ---------------------------------------------------------------------------------------------------------- prepare */

/* The classes of a pair. */
static void svm_pair_classes(const svm_classifier_state *state, int64_t pair, int64_t *i, int64_t *j) {
  *i = 0;
  while (pair >= state->classes - 1 - *i) pair -= state->classes - 1 - (*i)++;
  *j = *i + 1 + pair;
}

/* Of a linear machine: a class' weights, or a pair's, in which the support vectors of its classes are one. */
static void svm_classifier_weights(const void *argument, int64_t output, double *weights) {
  const svm_classifier_state *state = argument;
  const svm *svm = &state->svm;
  for (int64_t f = 0; f < svm->features; f++)
    weights[f] = svm->vectors == 0 ? (double)state->coefficients[output * svm->features + f] : 0;
  if (svm->vectors == 0) return;
  int64_t i, j;
  svm_pair_classes(state, output, &i, &j);
  for (int64_t v = state->first_vectors[i]; v < state->first_vectors[i + 1]; v++)
    svm_add_vector(svm, v, (double)state->coefficients[(j - 1) * svm->vectors + v], weights);
  for (int64_t v = state->first_vectors[j]; v < state->first_vectors[j + 1]; v++)
    svm_add_vector(svm, v, (double)state->coefficients[i * svm->vectors + v], weights);
}

/* What each worker has for the decisions of a row. */
typedef struct svm_row {
  float *decisions;     /* pairs */
  int64_t *votes;       /* classes */
  double *pairwise, *q; /* classes x classes */
  double *q_p, *p;      /* classes */
} svm_row;

/* Lays out a row in the bytes at `base`; *bytes is what it takes. false: too many. */
static bool svm_row_lay_out(const svm_classifier_state *state, char *base, svm_row *row, size_t *bytes) {
  const size_t classes = (size_t)state->classes, square = state->prob_a ? classes * classes : 0;
  size_t at[6];
  *bytes = 0;
  if (!scratch_append(bytes, (size_t)state->pairs, sizeof(float), &at[0]) ||
      !scratch_append(bytes, classes, sizeof(int64_t), &at[1]) ||
      !scratch_append(bytes, square, sizeof(double), &at[2]) ||
      !scratch_append(bytes, square, sizeof(double), &at[3]) ||
      !scratch_append(bytes, classes, sizeof(double), &at[4]) ||
      !scratch_append(bytes, classes, sizeof(double), &at[5]))
    return false;
  if (!base) return true;
  row->decisions = (float *)(void *)(base + at[0]);
  row->votes = (int64_t *)(void *)(base + at[1]);
  row->pairwise = (double *)(void *)(base + at[2]);
  row->q = (double *)(void *)(base + at[3]);
  row->q_p = (double *)(void *)(base + at[4]);
  row->p = (double *)(void *)(base + at[5]);
  return true;
}

static norma_status svm_classifier_prepare(prepare_context *context) {
  svm_classifier_state *state = context->state;
  int64_t rows, features;
  svm_row row;
  size_t bytes;
  feature_shape(prepare_shape(context, 0), &rows, &features);
  if (!svm_row_lay_out(state, NULL, &row, &bytes))
    return prepare_fail(context, NORMA_ERROR_BUDGET, "there are too many classes");
  const int64_t decisions = state->svm.vectors > 0 ? state->pairs : state->classes;
  TRY(svm_prepare(context, &state->svm, rows, decisions, svm_classifier_weights, state, bytes));
  if (!scratch_append(&context->scratch_bytes, (size_t)rows, sizeof(int32_t), &state->classes_at))
    return prepare_fail(context, NORMA_ERROR_BUDGET, "there are too many rows");
  return NORMA_OK;
}

/* -------------------------------------------------------------------------------------------------------- decisions */

/* The decision of a pair from the values of one row. */
static float svm_decide(const run_context *context, const float *values, int64_t pair, int64_t i, int64_t j) {
  const svm_classifier_state *state = context->state;
  const float *of_i = state->coefficients + (j - 1) * state->svm.vectors;
  const float *of_j = state->coefficients + i * state->svm.vectors;
  const int64_t *first = state->first_vectors;
  if (state->svm.kind == SVM_LINEAR) return values[pair] + state->rho[pair];
  const double sum_i =
      (double)context->kernels->dot_f32(of_i + first[i], values + first[i], (size_t)(first[i + 1] - first[i]));
  const double sum_j =
      (double)context->kernels->dot_f32(of_j + first[j], values + first[j], (size_t)(first[j + 1] - first[j]));
  return (float)(sum_i + sum_j + (double)state->rho[pair]);
}

/* Fills in decisions and votes; returns the class of most votes. */
static int32_t svm_vote(const run_context *context, const float *values, svm_row *row) {
  const svm_classifier_state *state = context->state;
  int64_t pair = 0, best = 0;
  for (int64_t i = 0; i < state->classes; i++) row->votes[i] = 0;
  for (int64_t i = 0; i < state->classes; i++) {
    for (int64_t j = i + 1; j < state->classes; j++, pair++) {
      row->decisions[pair] = svm_decide(context, values, pair, i, j);
      row->votes[row->decisions[pair] > 0 ? i : j]++;
    }
  }
  for (int64_t i = 1; i < state->classes; i++) best = row->votes[i] > row->votes[best] ? i : best;
  return (int32_t)best;
}

/* ---------------------------------------------------------------------------------------------------- probabilities */

#define SVM_SWEEPS 100

/* Q of the quadratic form that the probabilities make smallest, from the pairs' probabilities r:
 * Q[t][t] = sum over s != t of r[s][t]^2, Q[t][s] = -r[s][t] r[t][s]. */
static void svm_set_form(const svm_row *row, int64_t classes) {
  const double *r = row->pairwise;
  for (int64_t t = 0; t < classes; t++) {
    double diagonal = 0;
    for (int64_t s = 0; s < classes; s++) {
      if (s == t) continue;
      diagonal += r[s * classes + t] * r[s * classes + t];
      row->q[t * classes + s] = -r[s * classes + t] * r[t * classes + s];
    }
    row->q[t * classes + t] = diagonal;
  }
}

/* q_p = Q p; returns p . Q p. */
static double svm_apply_form(const svm_row *row, int64_t classes) {
  double sum = 0;
  for (int64_t t = 0; t < classes; t++) {
    row->q_p[t] = 0;
    for (int64_t s = 0; s < classes; s++) row->q_p[t] += row->q[t * classes + s] * row->p[s];
    sum += row->p[t] * row->q_p[t];
  }
  return sum;
}

/* Probabilities of classes from those of pairs: the second method of Wu, Lin and Weng, Probability estimates for
 * multi-class classification by pairwise coupling (2004), algorithm 2, with the bound for stopping that LIBSVM has. */
static void svm_couple(const svm_row *row, int64_t classes) {
  const double bound = 0.005 / (double)classes;
  svm_set_form(row, classes);
  for (int64_t t = 0; t < classes; t++) row->p[t] = 1 / (double)classes;
  for (int sweep = 0; sweep < SVM_SWEEPS; sweep++) {
    double value = svm_apply_form(row, classes), largest = 0;
    for (int64_t t = 0; t < classes; t++) largest = fmax(largest, fabs(row->q_p[t] - value));
    if (largest < bound) return;
    for (int64_t t = 0; t < classes; t++) {
      /* p[t] grows by `step`, and all are divided by their new sum. */
      const double diagonal = row->q[t * classes + t], step = (value - row->q_p[t]) / diagonal, sum = 1 + step;
      row->p[t] += step;
      value = (value + step * (step * diagonal + 2 * row->q_p[t])) / (sum * sum);
      for (int64_t s = 0; s < classes; s++) {
        row->q_p[s] = (row->q_p[s] + step * row->q[t * classes + s]) / sum;
        row->p[s] /= sum;
      }
    }
  }
}

static void svm_probabilities(const svm_classifier_state *state, const svm_row *row, float *scores) {
  const int64_t classes = state->classes;
  int64_t pair = 0;
  for (int64_t i = 0; i < classes; i++) {
    for (int64_t j = i + 1; j < classes; j++, pair++) {
      const double exponent = (double)row->decisions[pair] * (double)state->prob_a[pair] + (double)state->prob_b[pair];
      const double probability = fmin(fmax(1 / (1 + exp(exponent)), 1e-7), 1 - 1e-7);
      row->pairwise[i * classes + j] = probability;
      row->pairwise[j * classes + i] = 1 - probability;
    }
  }
  svm_couple(row, classes);
  for (int64_t t = 0; t < classes; t++) scores[t] = (float)row->p[t];
}

/* ---------------------------------------------------------------------------------------------------------- compute */

/* One row of a machine without support vectors. */
static int32_t svm_linear_row(const svm_classifier_state *state, const float *values, float *scores) {
  float largest = 0;
  int64_t best = 0;
  for (int64_t i = 0; i < state->classes; i++) {
    const float score = values[i] + state->rho[0];
    if (i == 0 || score > largest) {
      largest = score;
      best = i;
    }
    if (scores) scores[i] = score;
  }
  return (int32_t)best;
}

static int32_t svm_vector_row(const run_context *context, const float *values, float *scores, svm_row *row) {
  const svm_classifier_state *state = context->state;
  const int32_t class = svm_vote(context, values, row);
  if (!scores) return class;
  if (state->prob_a)
    svm_probabilities(state, row, scores);
  else if (state->classes == 2)
    post_transform_pair(state->transform, false, row->decisions[0], scores);
  else
    memcpy(scores, row->decisions, (size_t)state->pairs * sizeof *scores);
  return class;
}

static void svm_classifier_rows(void *argument, const float *values, int64_t first, int64_t rows, void *more) {
  const run_context *context = argument;
  const svm_classifier_state *state = context->state;
  const norma_tensor *z = run_output(context, 1);
  const int64_t width = svm_score_count(state);
  int32_t *classes = (int32_t *)(void *)((char *)context->scratch + state->classes_at);
  svm_row row;
  size_t bytes;
  svm_row_lay_out(state, more, &row, &bytes);
  float *all = z ? (float *)z->data + first * width : NULL;
  for (int64_t i = 0; i < rows; i++, values += state->svm.products.outputs) {
    float *scores = all ? all + i * width : NULL;
    classes[first + i] =
        state->svm.vectors > 0 ? svm_vector_row(context, values, scores, &row) : svm_linear_row(state, values, scores);
  }
  if (all) post_transform_scores(context->kernels, state->transform, all, rows, width);
}

static norma_status svm_classifier_compute(run_context *context) {
  const svm_classifier_state *state = context->state;
  int64_t rows, features;
  TRY(run_feature_rows(context, state->svm.features, &rows, &features));
  TRY(svm_run(context, &state->svm, rows, svm_classifier_rows, context));
  const char *scratch = context->scratch;
  return class_labels_write(context, 0, &state->labels, rows,
                            scratch ? (const int32_t *)(const void *)(scratch + state->classes_at) : NULL);
}

static const operator_attribute svm_classifier_attributes[] = {
    {"classlabels_ints", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    {"classlabels_strings", ATTRIBUTE_STRINGS, 1, OPERATOR_LATEST, false},
    {"coefficients", ATTRIBUTE_FLOATS, 1, OPERATOR_LATEST, false},
    {"kernel_params", ATTRIBUTE_FLOATS, 1, OPERATOR_LATEST, false},
    {"kernel_type", ATTRIBUTE_STRING, 1, OPERATOR_LATEST, false},
    {"post_transform", ATTRIBUTE_STRING, 1, OPERATOR_LATEST, false},
    {"prob_a", ATTRIBUTE_FLOATS, 1, OPERATOR_LATEST, false},
    {"prob_b", ATTRIBUTE_FLOATS, 1, OPERATOR_LATEST, false},
    {"rho", ATTRIBUTE_FLOATS, 1, OPERATOR_LATEST, false},
    {"support_vectors", ATTRIBUTE_FLOATS, 1, OPERATOR_LATEST, false},
    {"vectors_per_class", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    {0},
};

const operator_descriptor operators_svm_classifier[] = {
    {
        .domain = "ai.onnx.ml",
        .name = "SVMClassifier",
        .versions = {1},
        .min_inputs = 1,
        .max_inputs = 1,
        .min_outputs = 2,
        .max_outputs = 2,
        .types = {{TYPES_FEATURES, INPUT(0), 0}},
        .attributes = svm_classifier_attributes,
        .state_size = sizeof(svm_classifier_state),
        .read = svm_classifier_read,
        .infer = svm_classifier_infer,
        .prepare = svm_classifier_prepare,
        .compute = svm_classifier_compute,
    },
    {0},
};
