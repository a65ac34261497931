/** Line drawings on a 24 × 24 grid: see `icon` in dom.js. */

export const back = "M15 5l-7 7 7 7";
export const close = "M6 6l12 12M18 6L6 18";
export const send = "M5 12h13M12 5l7 7-7 7";
export const important = "M6 21V4M6 4c5-3 8 3 13 0v9c-5 3-8-3-13 0";
export const details = "M4 7h16M4 12h16M4 17h16M9 5v4M15 10v4M8 15v4";
export const reply = "M10 7l-5 5 5 5M5 12h8c4 0 6 2 6 6";
export const down = "M12 5v13M6 12l6 6 6-6";
export const clock = "M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16zM12 8v4.5l3 1.5";
export const check = "M6 12.5l4 4 8-9";
export const checks = "M2 12.5l4 4 8-9M11.5 15.5l1.5 1 8-9";
