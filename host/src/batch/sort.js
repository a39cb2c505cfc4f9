
(function () {
  var table = document.getElementById("vms"), body = table.tBodies[0];
  Array.prototype.forEach.call(table.tHead.rows[0].cells, function (head, column) {
    var down = false;
    head.style.cursor = "pointer";
    head.addEventListener("click", function () {
      var of = function (row) {
        var cell = row.cells[column], number = cell.getAttribute("data-sort");
        return number === null ? cell.textContent : parseFloat(number);
      };
      var rows = Array.prototype.slice.call(body.rows);
      rows.sort(function (a, b) {
        var x = of(a), y = of(b);
        return (x < y ? -1 : x > y ? 1 : 0) * (down ? -1 : 1);
      });
      rows.forEach(function (row) { body.appendChild(row); });
      down = !down;
    });
  });
})();
