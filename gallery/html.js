// What every view is written with: markup as tagged templates, and signals that views follow.
import { h } from "preact";
import htm from "htm";

export { render, Fragment } from "preact";
export { useEffect, useLayoutEffect, useMemo, useRef, useState, useCallback } from "preact/hooks";
export { signal, computed, effect, batch, untracked, useSignal, useComputed, useSignalEffect } from "@preact/signals";

export const html = htm.bind(h);
