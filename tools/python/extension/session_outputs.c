/* What runs give: small outputs are copied, large ones computed where the caller gets them. */
#include "sessions.h"

/* Outputs of so many bytes are computed where the array has them, where their size is known before the run. */
#define SESSIONS_LARGE_OUTPUT 32768

bool outputs_bind(session_object *session) {
  module_state *state = sessions_state(session);
  norma_error error;
  norma_status status;
  Py_BEGIN_ALLOW_THREADS;
  status = norma_session_prepare(session->session, &error);
  Py_END_ALLOW_THREADS;
  if (status != NORMA_OK) {
    errors_raise(state, &error);
    return false;
  }
  for (Py_ssize_t i = 0; i < session->model->output_count; i++) {
    norma_tensor planned;
    if (norma_session_planned_output(session->session, (size_t)i, &planned) != NORMA_OK) continue;
    if (planned.size_bytes < SESSIONS_LARGE_OUTPUT || planned.type == NORMA_STRING || arrays_is_packed(planned.type)) {
      continue;
    }
    PyArrayObject *array = arrays_allocate(state, &planned);
    if (!array) return false;
    session->outputs[i] = array;
    norma_session_bind_output(session->session, (size_t)i, PyArray_DATA(array), planned.size_bytes, &error);
  }
  return true;
}

void outputs_release(session_object *session) {
  for (Py_ssize_t i = 0; i < session->model->output_count; i++) {
    if (!session->outputs[i]) continue;
    norma_session_bind_output(session->session, (size_t)i, NULL, 0, NULL);
    Py_CLEAR(session->outputs[i]);
  }
}

/* Output `index` of the run, and whether it was one to be computed in place. */
static PyObject *outputs_take(session_object *session, Py_ssize_t index) {
  PyObject *array = (PyObject *)session->outputs[index];
  const norma_value *value = norma_session_output(session->session, (size_t)index);
  const norma_tensor *tensor = norma_value_tensor(value);
  session->has_large_outputs |= tensor && tensor->size_bytes >= SESSIONS_LARGE_OUTPUT;
  if (!array) return values_to_object(sessions_state(session), value);
  Py_INCREF(array);
  return array;
}

/* A value by name: an output, or one that is watched. */
static PyObject *outputs_take_named(session_object *session, PyObject *name) {
  PyObject *index = PyDict_GetItemWithError(session->model->output_indices, name);
  if (index) return outputs_take(session, PyLong_AsSsize_t(index));
  if (PyErr_Occurred()) return NULL;
  PyObject *bytes = text_bytes(name);
  if (!bytes) return NULL;
  const norma_value *value = norma_session_value(session->session, PyBytes_AsString(bytes));
  PyObject *object = NULL;
  if (value) {
    object = values_to_object(sessions_state(session), value);
  } else {
    errors_raise_status(sessions_state(session), NORMA_ERROR_ARGUMENT, PyBytes_AsString(bytes),
                        "the model has no output '%s', and no value of that name is watched", PyBytes_AsString(bytes));
  }
  Py_DECREF(bytes);
  return object;
}

PyObject *outputs_take_all(session_object *session, PyObject *names) {
  const Py_ssize_t count = names ? PyList_Size(names) : session->model->output_count;
  session->has_large_outputs = false;
  PyObject *list = PyList_New(count);
  for (Py_ssize_t i = 0; list && i < count; i++) {
    PyObject *object = names ? outputs_take_named(session, PyList_GetItem(names, i)) : outputs_take(session, i);
    if (!object || PyList_SetItem(list, i, object) != 0) Py_CLEAR(list);
  }
  return list;
}
