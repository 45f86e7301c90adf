/* What the trees of an ensemble vote for each row: one number for each target. */
#ifndef OPS_ML_TREE_SUMS_H
#define OPS_ML_TREE_SUMS_H

#include "ops/ml/tree_ensemble.h"

/* In the order of version 5's attribute. */
typedef enum tree_aggregate { TREE_AVERAGE, TREE_SUM, TREE_MIN, TREE_MAX } tree_aggregate;

typedef struct tree_sums {
  tree_ensemble ensemble;
  tree_aggregate aggregate;
  bool tells_votes; /* whether a target had a vote is asked for, and not the same for all rows */

  /* The plan's. */
  int64_t block_rows;
  bool cuts_rows; /* workers take blocks of rows; else groups of trees */
  size_t groups;
  size_t keys_at, nan_at, part_at, part_voted_at, total_at, voted_at,
      leaves_at; /* in scratch: of a worker, or shared */
  size_t shared_bytes, worker_bytes;
} tree_sums;

/* Asks for scratch; each worker gets `more` bytes beside. */
norma_status tree_sums_prepare(prepare_context *context, tree_sums *sums, int64_t rows, int64_t features, size_t more);

/* Gets the numbers of rows first .. first + rows - 1, [rows][targets]: aggregated, but not divided for TREE_AVERAGE,
 * and 0 where there was no vote. `voted` says where there was one; NULL unless tells_votes. On any thread; `more` are
 * its bytes. */
typedef void tree_sums_body(void *argument, const double *totals, const bool *voted, int64_t first, int64_t rows,
                            void *more);

/* Computes all rows of input 0. */
norma_status tree_sums_run(run_context *context, const tree_sums *sums, int64_t rows, int64_t features,
                           tree_sums_body *body, void *argument);

#endif
